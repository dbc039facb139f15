// c10d's key-value store and its process group on gloo, which libtorch has compiled in, for Rust.

#include "group.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <chrono>
#include <string>

#include "guarded.h"

using mobilenas::guarded;
using Store = c10::intrusive_ptr<c10d::Store>;

namespace mobilenas {

struct Group {
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
};

void sum_over_ranks(const Group* group, std::vector<double>& values) {
  std::vector<at::Tensor> all{at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kDouble)};
  group->gloo->allreduce(all)->wait();
}

} // namespace mobilenas

namespace {

std::vector<at::Tensor> one(const void* tensor) { return {*static_cast<const at::Tensor*>(tensor)}; }

c10d::ProcessGroupGloo& backend(const void* group) { return *static_cast<const mobilenas::Group*>(group)->gloo; }

} // namespace

extern "C" {

char* mn_store_open(const char* host, uint16_t port, int serve, int64_t ranks, const char* prefix, int64_t timeout_ms,
                    void** out) {
  return guarded([&] {
    c10d::TCPStoreOptions how;
    how.port = port;
    how.isServer = serve != 0;
    how.numWorkers = ranks;
    how.waitWorkers = false;
    how.timeout = std::chrono::milliseconds(timeout_ms);
    Store tcp = c10::make_intrusive<c10d::TCPStore>(std::string(host), how);
    tcp->setTimeout(how.timeout);
    *out = new Store(c10::make_intrusive<c10d::PrefixStore>(std::string(prefix), std::move(tcp)));
  });
}

void mn_free_store(void* store) { delete static_cast<Store*>(store); }

char* mn_store_set(const void* store, const char* key, const char* value) {
  return guarded([&] {
    const std::string text(value);
    (*static_cast<const Store*>(store))->set(key, std::vector<uint8_t>(text.begin(), text.end()));
  });
}

// Waits for the key.
char* mn_store_get(const void* store, const char* key, char** out) {
  return guarded([&] {
    const auto value = (*static_cast<const Store*>(store))->get(key);
    *out = strdup(std::string(value.begin(), value.end()).c_str());
  });
}

// `address` is this process's own as others reach it; null for that of the host's name. Connects to all ranks at once: with
// connections made when they are first used, one that dies early may hang the others (gloo#520).
char* mn_group_open(const void* store, int rank, int ranks, const char* address, int64_t timeout_ms, void** out) {
  return guarded([&] {
    using c10d::ProcessGroupGloo;
    auto how = ProcessGroupGloo::Options::create(std::chrono::milliseconds(timeout_ms));
    how->devices.push_back(address ? ProcessGroupGloo::createDeviceForHostname(address, false)
                                   : ProcessGroupGloo::createDefaultDevice(false));
    *out = new mobilenas::Group{c10::make_intrusive<ProcessGroupGloo>(*static_cast<const Store*>(store), rank, ranks, how)};
  });
}

void mn_free_group(void* group) { delete static_cast<mobilenas::Group*>(group); }

char* mn_all_reduce(const void* group, const void* tensor) {
  return guarded([&] {
    auto all = one(tensor);
    backend(group).allreduce(all)->wait();
  });
}

char* mn_broadcast(const void* group, const void* tensor) {
  return guarded([&] {
    auto all = one(tensor);
    backend(group).broadcast(all)->wait();
  });
}

char* mn_monitored_barrier(const void* group, int64_t timeout_ms) {
  return guarded([&] {
    c10d::BarrierOptions how;
    how.timeout = std::chrono::milliseconds(timeout_ms);
    backend(group).monitoredBarrier(how, true);
  });
}

} // extern "C"
