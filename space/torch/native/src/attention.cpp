// Attention of few rows to few keys. libtorch multiplies matrix by matrix, whose overhead exceeds such small products; here
// the pairs of image and head are vectorised, as many at a time as a register has lanes.

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "lanes.h"

namespace {

constexpr int64_t LANES = 16;
constexpr int64_t MAX_KEYS = 16;

// Rows of channels, by group; the last axis is contiguous.
struct Rows {
  const float* data;
  int64_t group, row;
};

struct Sizes {
  int64_t groups, heads, rows, keys, key, value;
};

// `from` as [row][channel][lane], for the pairs of group and head from `first` on.
static inline void pack(const Rows& from, int64_t first, int64_t lanes, int64_t heads, int64_t rows, int64_t channels, float* to) {
  for (int64_t lane = 0; lane < lanes; ++lane) {
    const int64_t group = (first + lane) / heads, head = (first + lane) % heads;
    const float* at = from.data + group * from.group + head * channels;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < channels; ++c) to[(r * channels + c) * LANES + lane] = at[r * from.row + c];
  }
}

FOR_EACH_PROCESSOR
void attend(const Rows& q, const Rows& k, const Rows& v, float* out, const Sizes& n) {
  std::vector<float> space((n.rows * (n.key + n.value) + n.keys * (n.key + n.value)) * LANES, 0.0f);
  float* qs = space.data();
  float* ks = qs + n.rows * n.key * LANES;
  float* vs = ks + n.keys * n.key * LANES;
  float* ys = vs + n.keys * n.value * LANES;
  const float scale = 1.0f / std::sqrt(static_cast<float>(n.key));
  float share[MAX_KEYS * LANES], most[LANES], sum[LANES];
  for (int64_t first = 0; first < n.groups * n.heads; first += LANES) {
    const int64_t lanes = std::min(LANES, n.groups * n.heads - first);
    pack(q, first, lanes, n.heads, n.rows, n.key, qs);
    pack(k, first, lanes, n.heads, n.keys, n.key, ks);
    pack(v, first, lanes, n.heads, n.keys, n.value, vs);
    for (int64_t r = 0; r < n.rows; ++r) {
      const float* qr = qs + r * n.key * LANES;
      for (int64_t j = 0; j < n.keys; ++j) {
        const float* kj = ks + j * n.key * LANES;
        float dot[LANES] = {};
        for (int64_t c = 0; c < n.key; ++c)
          for (int64_t l = 0; l < LANES; ++l) dot[l] += qr[c * LANES + l] * kj[c * LANES + l];
        for (int64_t l = 0; l < LANES; ++l) {
          share[j * LANES + l] = dot[l] * scale;
          most[l] = j == 0 ? share[l] : std::max(most[l], share[j * LANES + l]);
        }
      }
      for (int64_t l = 0; l < LANES; ++l) sum[l] = 0.0f;
      for (int64_t j = 0; j < n.keys; ++j)
        for (int64_t l = 0; l < LANES; ++l) {
          share[j * LANES + l] = mobilenas::exp_of(share[j * LANES + l] - most[l]);
          sum[l] += share[j * LANES + l];
        }
      for (int64_t l = 0; l < LANES; ++l) sum[l] = 1.0f / sum[l];
      float* yr = ys + r * n.value * LANES;
      for (int64_t c = 0; c < n.value; ++c) {
        float y[LANES] = {};
        for (int64_t j = 0; j < n.keys; ++j)
          for (int64_t l = 0; l < LANES; ++l) y[l] += share[j * LANES + l] * vs[(j * n.value + c) * LANES + l];
        for (int64_t l = 0; l < LANES; ++l) yr[c * LANES + l] = y[l] * sum[l];
      }
    }
    for (int64_t lane = 0; lane < lanes; ++lane) {
      const int64_t group = (first + lane) / n.heads, head = (first + lane) % n.heads;
      float* to = out + (group * n.rows * n.heads + head) * n.value;
      for (int64_t r = 0; r < n.rows; ++r)
        for (int64_t c = 0; c < n.value; ++c) to[r * n.heads * n.value + c] = ys[(r * n.value + c) * LANES + lane];
    }
  }
}

} // namespace

namespace mobilenas {

// Rows [..., rows, heads * key], [..., keys, heads * key] and [..., keys, heads * value] to [..., rows, heads * value].
at::Tensor few_key_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, int64_t heads) {
  for (const auto* t : {&query, &key, &value}) {
    TORCH_CHECK(t->device().is_cpu() && t->scalar_type() == at::kFloat, "attention to few keys: found ", t->toString(), ", expected floats");
    TORCH_CHECK(t->dim() >= 2 && t->dim() == value.dim(), "attention to few keys: found ", t->dim(), " axes");
  }
  const int64_t rows = query.size(-2), keys = key.size(-2);
  TORCH_CHECK(heads > 0 && query.size(-1) % heads == 0 && value.size(-1) % heads == 0 && query.size(-1) > 0,
              "attention to few keys: ", heads, " heads do not divide the channels");
  TORCH_CHECK(keys > 0 && keys <= MAX_KEYS, "attention to few keys: found ", keys, ", expected at most ", MAX_KEYS);
  TORCH_CHECK(key.size(-1) == query.size(-1) && value.size(-2) == keys, "attention to few keys: the sizes do not fit");
  auto flat = [](const at::Tensor& t) {
    auto all = t.reshape({-1, t.size(-2), t.size(-1)});
    return all.stride(-1) == 1 ? all : all.contiguous();
  };
  const auto q = flat(query), k = flat(key), v = flat(value);
  TORCH_CHECK(k.size(0) == q.size(0) && v.size(0) == q.size(0), "attention to few keys: the sizes do not fit");
  auto size = query.sizes().vec();
  size.back() = value.size(-1);
  auto out = at::empty(size, query.options());
  auto read = [](const at::Tensor& t) { return Rows{t.const_data_ptr<float>(), t.stride(0), t.stride(1)}; };
  const Sizes n{q.size(0), heads, rows, keys, query.size(-1) / heads, value.size(-1) / heads};
  attend(read(q), read(k), read(v), out.mutable_data_ptr<float>(), n);
  return out;
}

} // namespace mobilenas
