// Operators of libtorch's dispatcher by name, and TorchScript for inference, for Rust.
// No exception crosses this interface: a function that fails returns a message, which `mn_free_text` frees.

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <c10/core/Allocator.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "group.h"
#include "guarded.h"

using mobilenas::guarded;

namespace mobilenas {
at::Tensor few_key_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, int64_t heads);
void batch_norm_silu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean,
                   const at::Tensor& variance, double momentum, double epsilon, bool silu);
at::Tensor batch_norm_act(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean,
                          const at::Tensor& variance, double momentum, double epsilon, int64_t activation, const Group* group);
at::Tensor sync_batch_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean,
                           const at::Tensor& variance, double momentum, double epsilon, const Group* group);
}

namespace {

// The kinds of arguments, in the order of Rust's `Arg`.
enum Kind { NONE, TENSOR, VALUE, INT, DOUBLE, INTS, TEXT, SCALARS };

struct Arg {
  int32_t kind;
  int64_t number;      // INT; the length of INTS, TEXT and SCALARS
  double real;         // DOUBLE
  const void* pointer; // at::Tensor, c10::IValue, int64_t[], char[] or double[], where a NaN is no scalar
};

c10::IValue value_of(const Arg& a) {
  switch (a.kind) {
    case TENSOR:
      return *static_cast<const at::Tensor*>(a.pointer);
    case VALUE:
      return *static_cast<const c10::IValue*>(a.pointer);
    case INT:
      return a.number;
    case DOUBLE:
      return a.real;
    case INTS: {
      const auto* from = static_cast<const int64_t*>(a.pointer);
      return c10::List<int64_t>(c10::IntArrayRef(from, a.number));
    }
    case TEXT:
      return std::string(static_cast<const char*>(a.pointer), a.number);
    case SCALARS: {
      c10::List<std::optional<at::Scalar>> list;
      for (int64_t i = 0; i < a.number; ++i) {
        const double x = static_cast<const double*>(a.pointer)[i];
        list.push_back(std::isnan(x) ? std::optional<at::Scalar>() : std::optional<at::Scalar>(x));
      }
      return list;
    }
    default:
      return {};
  }
}

// Bytes of CPU tensors allocated on one thread since the watch began; the release of an older tensor reports no size.
struct Counter : c10::MemoryReportingInfoBase {
  int64_t now = 0, most = 0;

  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device device) override {
    if (!device.is_cpu()) return;
    now += bytes;
    most = std::max(most, now);
  }

  bool memoryProfilingEnabled() const override { return true; }
};

struct AllocationWatch {
  std::shared_ptr<Counter> counter = std::make_shared<Counter>();
  c10::DebugInfoGuard guard{c10::DebugInfoKind::PROFILER_STATE, counter};
};

} // namespace

extern "C" {

void mn_free_text(char* text) { free(text); }

char* mn_find(const char* name, const char* overload, void** out) {
  return guarded([&] {
    auto found = c10::Dispatcher::singleton().findSchema({name, overload});
    TORCH_CHECK(found.has_value(), "this libtorch has no operator ", name);
    *out = new c10::OperatorHandle(*found);
  });
}

void mn_free_operator(void* handle) { delete static_cast<c10::OperatorHandle*>(handle); }

char* mn_call(const void* handle, const Arg* args, size_t n, void** out) {
  return guarded([&] {
    const auto& op = *static_cast<const c10::OperatorHandle*>(handle);
    TORCH_CHECK(op.schema().arguments().size() == n, op.schema(), " called with ", n, " arguments");
    torch::jit::Stack stack;
    stack.reserve(n);
    for (size_t i = 0; i < n; ++i) stack.push_back(value_of(args[i]));
    op.callBoxed(stack);
    TORCH_CHECK(stack.size() == 1, op.schema(), " gave ", stack.size(), " values");
    *out = new c10::IValue(std::move(stack.back()));
  });
}

void mn_free_value(void* value) { delete static_cast<c10::IValue*>(value); }

char* mn_tensor(const void* value, void** out) {
  return guarded([&] { *out = new at::Tensor(static_cast<const c10::IValue*>(value)->toTensor()); });
}

char* mn_few_key_attention(const void* query, const void* key, const void* value, int64_t heads, void** out) {
  return guarded([&] {
    auto of = [](const void* t) -> const at::Tensor& { return *static_cast<const at::Tensor*>(t); };
    *out = new at::Tensor(mobilenas::few_key_attention(of(query), of(key), of(value), heads));
  });
}

char* mn_batch_norm_silu(const void* const* tensors, double momentum, double epsilon, int silu) {
  return guarded([&] {
    auto of = [&](int i) -> const at::Tensor& { return *static_cast<const at::Tensor*>(tensors[i]); };
    mobilenas::batch_norm_silu(of(0), of(1), of(2), of(3), of(4), momentum, epsilon, silu != 0);
  });
}

// Over the batches of all ranks if there is a group.
char* mn_batch_norm_act(const void* const* tensors, double momentum, double epsilon, int64_t activation, const void* group,
                        void** out) {
  return guarded([&] {
    auto of = [&](int i) { return tensors[i] ? *static_cast<const at::Tensor*>(tensors[i]) : at::Tensor(); };
    *out = new at::Tensor(mobilenas::batch_norm_act(of(0), of(1), of(2), of(3), of(4), momentum, epsilon, activation,
                                                    static_cast<const mobilenas::Group*>(group)));
  });
}

char* mn_sync_batch_norm(const void* const* tensors, double momentum, double epsilon, const void* group, void** out) {
  return guarded([&] {
    auto of = [&](int i) { return tensors[i] ? *static_cast<const at::Tensor*>(tensors[i]) : at::Tensor(); };
    *out = new at::Tensor(mobilenas::sync_batch_norm(of(0), of(1), of(2), of(3), of(4), momentum, epsilon,
                                                     static_cast<const mobilenas::Group*>(group)));
  });
}

void mn_keep_freed_memory() {
#ifdef __GLIBC__
  // From 128 KiB on, glibc asks the system for each block and gives it back, so that every map of every step is cleared
  // and paged in anew.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
#endif
}

char* mn_accumulate_grad(const void* tensor, const void* gradient) {
  return guarded([&] {
    const auto& of = *static_cast<const at::Tensor*>(tensor);
    const auto& add = *static_cast<const at::Tensor*>(gradient);
    TORCH_CHECK(of.sizes() == add.sizes(), "a gradient of ", add.sizes(), " for a tensor of ", of.sizes());
    at::AutoGradMode none(false);
    at::Tensor& grad = of.mutable_grad();
    if (grad.defined()) {
      grad.add_(add);
    } else {
      grad = add.detach().clone(at::MemoryFormat::Contiguous);
    }
  });
}

void* mn_inference_begin() { return new c10::InferenceMode(); }

void mn_inference_end(void* guard) { delete static_cast<c10::InferenceMode*>(guard); }

void* mn_watch_begin() { return new AllocationWatch(); }

int64_t mn_watch_peak(const void* watching) { return static_cast<const AllocationWatch*>(watching)->counter->most; }

void mn_watch_end(void* watching) { delete static_cast<AllocationWatch*>(watching); }

char* mn_script_load(const char* path, int optimize, void** out) {
  return guarded([&] {
    auto module = torch::jit::load(path);
    module.eval();
    module = torch::jit::freeze(module);
    if (optimize) module = torch::jit::optimize_for_inference(module);
    *out = new torch::jit::Module(module);
  });
}

void mn_free_script(void* script) { delete static_cast<torch::jit::Module*>(script); }

char* mn_script_run(void* script, const void* input, void** out) {
  return guarded([&] {
    auto value = static_cast<torch::jit::Module*>(script)->forward({*static_cast<const at::Tensor*>(input)});
    *out = new at::Tensor(value.toTensor());
  });
}

} // extern "C"
