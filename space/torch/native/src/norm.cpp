// A training-mode batch norm with the activation after it on channels-last maps. Forward reads the batch twice and writes it
// once; backward keeps only the batch norm's input and computes the activation's slope anew.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "group.h"
#include "lanes.h"

namespace {

// Values that are summed at once: several positions if there are few channels.
constexpr int64_t WIDE = 64;
// Rows whose sum is taken in float32 before it is added in float64. Blocks are added in order, whatever the threads.
constexpr int64_t BLOCK = 256;

// The activations, in the order of Rust's `NormAct`.
inline float none(float z) { return z; }
inline float none_slope(float) { return 1.0f; }
inline float silu(float z) {
  const float e = mobilenas::exp_of(-std::fabs(z)), s = 1.0f / (1.0f + e);
  return z * (z < 0.0f ? e * s : s);
}
inline float silu_slope(float z) {
  const float e = mobilenas::exp_of(-std::fabs(z)), s = 1.0f / (1.0f + e);
  const float sigmoid = z < 0.0f ? e * s : s;
  return sigmoid * (1.0f + z * (1.0f - sigmoid));
}
inline float relu(float z) { return z > 0.0f ? z : 0.0f; }
inline float relu_slope(float z) { return z > 0.0f ? 1.0f : 0.0f; }
inline float relu6(float z) { return std::min(std::max(z, 0.0f), 6.0f); }
inline float relu6_slope(float z) { return z >= 0.0f && z <= 6.0f ? 1.0f : 0.0f; }
inline float hard_swish(float z) { return z * std::min(std::max(z + 3.0f, 0.0f), 6.0f) / 6.0f; }
inline float hard_swish_slope(float z) { return z < -3.0f ? 0.0f : z <= 3.0f ? z / 3.0f + 0.5f : 1.0f; }

FOR_EACH_PROCESSOR
void add_moments(const float* x, int64_t rows, int64_t width, const float* __restrict origin, float* __restrict sum,
                 float* __restrict square) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < width; ++c) {
      const float d = x[r * width + c] - origin[c];
      sum[c] += d;
      square[c] += d * d;
    }
}

using Forward = void (*)(const float* x, float* y, int64_t rows, int64_t width, const float* by, const float* plus);
using Slopes = void (*)(const float* x, const float* dy, float* dz, int64_t rows, int64_t width, const float* by,
                        const float* plus, const float* mean, float* sum, float* dot);

// For an activation f of z = x * by + plus: f(z); and dz = dy * f'(z) with its sums over rows, alone and times x - mean.
#define KERNELS(F)                                                                                                     \
  FOR_EACH_PROCESSOR                                                                                                   \
  void F##_forward(const float* x, float* y, int64_t rows, int64_t width, const float* __restrict by,                  \
                   const float* __restrict plus) {                                                                     \
    for (int64_t r = 0; r < rows; ++r)                                                                                 \
      for (int64_t c = 0; c < width; ++c) y[r * width + c] = F(x[r * width + c] * by[c] + plus[c]);                    \
  }                                                                                                                    \
  FOR_EACH_PROCESSOR                                                                                                   \
  void F##_slopes(const float* x, const float* dy, float* __restrict dz, int64_t rows, int64_t width,                  \
                  const float* __restrict by, const float* __restrict plus, const float* __restrict mean,              \
                  float* __restrict sum, float* __restrict dot) {                                                      \
    for (int64_t r = 0; r < rows; ++r)                                                                                 \
      for (int64_t c = 0; c < width; ++c) {                                                                            \
        const float at = x[r * width + c];                                                                             \
        const float d = dy[r * width + c] * F##_slope(at * by[c] + plus[c]);                                           \
        dz[r * width + c] = d;                                                                                         \
        sum[c] += d;                                                                                                   \
        dot[c] += d * (at - mean[c]);                                                                                  \
      }                                                                                                                \
  }

KERNELS(none)
KERNELS(silu)
KERNELS(relu)
KERNELS(relu6)
KERNELS(hard_swish)

struct Kernels {
  Forward forward;
  Slopes slopes;
};

const Kernels ACTIVATIONS[] = {
    {none_forward, none_slopes},   {silu_forward, silu_slopes},   {relu_forward, relu_slopes},
    {relu6_forward, relu6_slopes}, {hard_swish_forward, hard_swish_slopes},
};

FOR_EACH_PROCESSOR
void gradients(const float* __restrict x, float* __restrict dz, int64_t rows, int64_t width, const float* __restrict mean,
               const float* __restrict by, const float* __restrict slope, const float* __restrict plus) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < width; ++c) {
      float& d = dz[r * width + c];
      d = d * by[c] + (x[r * width + c] - mean[c]) * slope[c] + plus[c];
    }
}

// A map as rows of one or more positions. The last row may have fewer.
struct Rows {
  int64_t channels, positions, times, width, whole, rest;

  explicit Rows(const at::Tensor& x)
      : channels(x.size(1)), positions(x.numel() / std::max<int64_t>(x.size(1), 1)), times(std::max<int64_t>(WIDE / channels, 1)),
        width(times * channels), whole(positions / times), rest(positions % times) {}

  int64_t blocks() const { return (whole + BLOCK - 1) / BLOCK + (rest > 0); }

  // Runs work(block, offset of its first value, rows, width of a row) for each block.
  template <class F>
  void each(F work) const {
    at::parallel_for(0, blocks(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t first = b * BLOCK;
        if (first < whole) {
          work(b, first * width, std::min(BLOCK, whole - first), width);
        } else {
          work(b, whole * width, 1, rest * channels);
        }
      }
    });
  }

  // Two sums of each channel; add(offset, rows, width, first sums, second sums) adds to those of a block.
  template <class F>
  void sum(std::vector<double>& first, std::vector<double>& second, F add) const {
    std::vector<float> sums(2 * width * blocks(), 0.0f);
    each([&](int64_t b, int64_t at, int64_t rows, int64_t w) {
      add(at, rows, w, sums.data() + 2 * b * width, sums.data() + (2 * b + 1) * width);
    });
    first.assign(channels, 0.0);
    second.assign(channels, 0.0);
    for (int64_t b = 0; b < blocks(); ++b)
      for (int64_t c = 0; c < width; ++c) {
        first[c % channels] += sums[2 * b * width + c];
        second[c % channels] += sums[(2 * b + 1) * width + c];
      }
  }

  // A value of each channel, repeated over a row.
  template <class F>
  std::vector<float> repeated(F of) const {
    std::vector<float> all(width);
    for (int64_t c = 0; c < width; ++c) all[c] = of(c % channels);
    return all;
  }
};

struct Moments {
  std::vector<double> mean, variance;
  int64_t positions;
};

// From those of each rank's batch to those of all.
void add_ranks(Moments& m, const mobilenas::Group* group) {
  const size_t channels = m.mean.size();
  std::vector<double> sums(1 + 2 * channels);
  sums[0] = m.positions;
  for (size_t c = 0; c < channels; ++c) {
    sums[1 + c] = m.mean[c] * m.positions;
    sums[1 + channels + c] = (m.variance[c] + m.mean[c] * m.mean[c]) * m.positions;
  }
  mobilenas::sum_over_ranks(group, sums);
  m.positions = std::llround(sums[0]);
  for (size_t c = 0; c < channels; ++c) {
    m.mean[c] = sums[1 + c] / sums[0];
    m.variance[c] = std::max(sums[1 + channels + c] / sums[0] - m.mean[c] * m.mean[c], 0.0);
  }
}

// Of the batches of all ranks if there is a group.
Moments moments(const float* x, const Rows& n, const mobilenas::Group* group = nullptr) {
  // Relative to the first position, so that the squares stay small.
  const auto origin = n.repeated([&](int64_t c) { return x[c]; });
  Moments m;
  n.sum(m.mean, m.variance, [&](int64_t at, int64_t rows, int64_t width, float* sum, float* square) {
    add_moments(x + at, rows, width, origin.data(), sum, square);
  });
  for (int64_t c = 0; c < n.channels; ++c) {
    const double off = m.mean[c] / n.positions;
    m.mean[c] = origin[c] + off;
    m.variance[c] = std::max(m.variance[c] / n.positions - off * off, 0.0);
  }
  m.positions = n.positions;
  if (group) add_ranks(m, group);
  return m;
}

void track(const Moments& m, const Rows& n, const at::Tensor& mean, const at::Tensor& variance, double momentum) {
  auto move = [&](const at::Tensor& t, int64_t c, double to) {
    float& now = t.mutable_data_ptr<float>()[c];
    now = (1.0 - momentum) * now + momentum * to;
  };
  for (int64_t c = 0; c < n.channels; ++c) {
    move(mean, c, m.mean[c]);
    move(variance, c, m.variance[c] * m.positions / (m.positions - 1));
  }
}

void check(const at::Tensor& x, std::initializer_list<const at::Tensor*> others) {
  TORCH_CHECK(x.dim() == 4 && x.is_contiguous(at::MemoryFormat::ChannelsLast) && x.device().is_cpu() && x.scalar_type() == at::kFloat,
              "batch norm: found ", x.toString(), " ", x.sizes(), ", expected a channels-last map of floats");
  const int64_t channels = x.size(1);
  TORCH_CHECK(channels > 0 && x.numel() > channels, "batch norm: found one value for each channel, expected more");
  for (const auto* t : others)
    TORCH_CHECK(t->dim() == 1 && t->size(0) == channels && t->stride(0) == 1 && t->scalar_type() == at::kFloat,
                "batch norm: found ", t->sizes(), ", expected ", channels, " floats");
}

const Kernels& kernels(int64_t activation) {
  const int64_t known = sizeof(ACTIVATIONS) / sizeof(Kernels);
  TORCH_CHECK(activation >= 0 && activation < known, "batch norm: no activation ", activation);
  return ACTIVATIONS[activation];
}

// z = x * by + plus for each channel, repeated over a row.
struct Affine {
  std::vector<float> by, plus;

  Affine(const Rows& n, const Moments& m, const at::Tensor& weight, const at::Tensor& bias, double epsilon) {
    const float *w = weight.const_data_ptr<float>(), *b = bias.const_data_ptr<float>();
    auto scale = [&](int64_t c) { return w[c] / std::sqrt(m.variance[c] + epsilon); };
    by = n.repeated(scale);
    plus = n.repeated([&](int64_t c) { return b[c] - m.mean[c] * scale(c); });
  }
};

void run(const float* x, float* y, const Rows& n, const Affine& z, Forward forward) {
  n.each([&](int64_t, int64_t at, int64_t rows, int64_t width) { forward(x + at, y + at, rows, width, z.by.data(), z.plus.data()); });
}

struct BatchNormAct : torch::autograd::Function<BatchNormAct> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, const Moments* m, double epsilon, int64_t activation,
                            const mobilenas::Group* group) {
    const Rows n(x);
    auto y = at::empty_like(x);
    run(x.const_data_ptr<float>(), y.mutable_data_ptr<float>(), n, Affine(n, *m, weight, bias, epsilon),
        kernels(activation).forward);
    ctx->save_for_backward({x, weight, bias});
    ctx->saved_data["mean"] = m->mean;
    ctx->saved_data["variance"] = m->variance;
    ctx->saved_data["positions"] = m->positions;
    ctx->saved_data["group"] = reinterpret_cast<int64_t>(group);
    ctx->saved_data["epsilon"] = epsilon;
    ctx->saved_data["activation"] = activation;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, torch::autograd::variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1];
    const Moments m{ctx->saved_data["mean"].toDoubleVector(), ctx->saved_data["variance"].toDoubleVector(),
                    ctx->saved_data["positions"].toInt()};
    const double epsilon = ctx->saved_data["epsilon"].toDouble();
    const Rows n(x);
    const Affine z(n, m, weight, saved[2], epsilon);
    const auto mean = n.repeated([&](int64_t c) { return m.mean[c]; });
    const auto slopes = kernels(ctx->saved_data["activation"].toInt()).slopes;
    const auto dy = grads[0].contiguous(at::MemoryFormat::ChannelsLast);
    auto dx = at::empty_like(x);
    const auto *from = x.const_data_ptr<float>(), *above = dy.const_data_ptr<float>();
    auto* to = dx.mutable_data_ptr<float>();
    std::vector<double> sum, dot;
    n.sum(sum, dot, [&](int64_t at, int64_t rows, int64_t width, float* s, float* d) {
      slopes(from + at, above + at, to + at, rows, width, z.by.data(), z.plus.data(), mean.data(), s, d);
    });
    auto of = [&](auto value) {
      auto t = at::empty({n.channels}, x.options().memory_format(std::nullopt));
      for (int64_t c = 0; c < n.channels; ++c) t.template mutable_data_ptr<float>()[c] = value(c);
      return t;
    };
    auto inverse = [&](int64_t c) { return 1.0 / std::sqrt(m.variance[c] + epsilon); };
    auto weights = of([&](int64_t c) { return dot[c] * inverse(c); });
    auto biases = of([&](int64_t c) { return sum[c]; });
    // Those of the parameters are this rank's own: the gradients of all ranks are summed in the end.
    const at::Tensor none;
    if (!ctx->needs_input_grad(0)) return {none, weights, biases, none, none, none, none};
    if (const auto* group = reinterpret_cast<const mobilenas::Group*>(ctx->saved_data["group"].toInt())) {
      sum.insert(sum.end(), dot.begin(), dot.end());
      mobilenas::sum_over_ranks(group, sum);
      std::copy(sum.begin() + n.channels, sum.end(), dot.begin());
    }
    const auto* w = weight.const_data_ptr<float>();
    const auto slope = n.repeated([&](int64_t c) { return -w[c] * std::pow(inverse(c), 3) * dot[c] / m.positions; });
    const auto plus = n.repeated([&](int64_t c) { return -w[c] * inverse(c) * sum[c] / m.positions; });
    n.each([&](int64_t, int64_t at, int64_t rows, int64_t width) {
      gradients(from + at, to + at, rows, width, mean.data(), z.by.data(), slope.data(), plus.data());
    });
    return {dx, weights, biases, none, none, none, none};
  }
};

} // namespace

namespace mobilenas {

// Normalises `x` [B, C, H, W], channels-last in memory, in place by the mean and variance of the batch, scales and shifts it, and
// applies SiLU if asked; updates the running statistics with `momentum`.
void batch_norm_silu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean,
                     const at::Tensor& variance, double momentum, double epsilon, bool silu) {
  check(x, {&weight, &bias, &mean, &variance});
  const Rows n(x);
  float* data = x.mutable_data_ptr<float>();
  const auto m = moments(data, n);
  track(m, n, mean, variance, momentum);
  run(data, data, n, Affine(n, m, weight, bias, epsilon), silu ? silu_forward : none_forward);
}

// The same with any of the activations, for autograd, to a new map; statistics that are undefined are not updated. By the
// batches of all ranks if there is a group, which must outlive the backward pass.
at::Tensor batch_norm_act(const at::Tensor& map, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean,
                          const at::Tensor& variance, double momentum, double epsilon, int64_t activation,
                          const Group* group) {
  const auto x = map.contiguous(at::MemoryFormat::ChannelsLast);
  check(x, {&weight, &bias});
  kernels(activation);
  const Rows n(x);
  const auto m = moments(x.const_data_ptr<float>(), n, group);
  if (mean.defined() && variance.defined()) {
    check(x, {&mean, &variance});
    track(m, n, mean, variance, momentum);
  }
  return BatchNormAct::apply(x, weight, bias, &m, epsilon, activation, group);
}

} // namespace mobilenas
