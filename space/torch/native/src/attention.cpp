// Attention of few rows to few keys. libtorch multiplies matrix by matrix, whose overhead exceeds such small products; here
// the pairs of image and head are vectorised, as many at a time as a register has lanes.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "lanes.h"

namespace {

constexpr int64_t LANES = 16;
constexpr int64_t MAX_KEYS = 16;

// Rows of channels, by group; the last axis is contiguous.
struct GroupedRows {
  const float* data;
  int64_t group, row;
};

struct Sizes {
  int64_t groups, heads, rows, keys, key, value;

  int64_t pairs() const { return groups * heads; }
};

// `from` as [row][channel][lane], for the pairs of group and head from `first` on.
inline void pack(const GroupedRows& from, int64_t first, int64_t lanes, int64_t heads, int64_t rows, int64_t channels, float* to) {
  for (int64_t lane = 0; lane < lanes; ++lane) {
    const int64_t group = (first + lane) / heads, head = (first + lane) % heads;
    const float* at = from.data + group * from.group + head * channels;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < channels; ++c) to[(r * channels + c) * LANES + lane] = at[r * from.row + c];
  }
}

// The inverse, to groups of rows of all heads' channels.
inline void unpack(const float* from, int64_t first, int64_t lanes, int64_t heads, int64_t rows, int64_t channels, float* to) {
  for (int64_t lane = 0; lane < lanes; ++lane) {
    const int64_t group = (first + lane) / heads, head = (first + lane) % heads;
    float* at = to + (group * rows * heads + head) * channels;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < channels; ++c) at[r * heads * channels + c] = from[(r * channels + c) * LANES + lane];
  }
}

// The dot product of a row of `a` and a row of `b`, for each lane.
inline void dot(const float* __restrict a, const float* __restrict b, int64_t channels, float* __restrict out) {
  float sum[LANES] = {};
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t l = 0; l < LANES; ++l) sum[l] += a[c * LANES + l] * b[c * LANES + l];
  for (int64_t l = 0; l < LANES; ++l) out[l] = sum[l];
}

// How a query shares its attention among the keys: the softmax of its products with them, but for a factor `inverse`.
inline void shares(const float* query, const float* keys, const Sizes& n, float scale, float* share, float* inverse) {
  float most[LANES], sum[LANES];
  for (int64_t j = 0; j < n.keys; ++j) {
    float* at = share + j * LANES;
    dot(query, keys + j * n.key * LANES, n.key, at);
    for (int64_t l = 0; l < LANES; ++l) {
      at[l] *= scale;
      most[l] = j == 0 ? at[l] : std::max(most[l], at[l]);
    }
  }
  for (int64_t l = 0; l < LANES; ++l) sum[l] = 0.0f;
  for (int64_t j = 0; j < n.keys; ++j)
    for (int64_t l = 0; l < LANES; ++l) {
      share[j * LANES + l] = mobilenas::exp_of(share[j * LANES + l] - most[l]);
      sum[l] += share[j * LANES + l];
    }
  for (int64_t l = 0; l < LANES; ++l) inverse[l] = 1.0f / sum[l];
}

FOR_EACH_PROCESSOR
void attend(const GroupedRows& q, const GroupedRows& k, const GroupedRows& v, float* out, const Sizes& n, int64_t begin, int64_t end) {
  std::vector<float> space((n.rows * (n.key + n.value) + n.keys * (n.key + n.value)) * LANES, 0.0f);
  float* qs = space.data();
  float* ks = qs + n.rows * n.key * LANES;
  float* vs = ks + n.keys * n.key * LANES;
  float* ys = vs + n.keys * n.value * LANES;
  const float scale = 1.0f / std::sqrt(static_cast<float>(n.key));
  float share[MAX_KEYS * LANES], inverse[LANES];
  for (int64_t first = begin * LANES; first < std::min(end * LANES, n.pairs()); first += LANES) {
    const int64_t lanes = std::min(LANES, n.pairs() - first);
    pack(q, first, lanes, n.heads, n.rows, n.key, qs);
    pack(k, first, lanes, n.heads, n.keys, n.key, ks);
    pack(v, first, lanes, n.heads, n.keys, n.value, vs);
    for (int64_t r = 0; r < n.rows; ++r) {
      shares(qs + r * n.key * LANES, ks, n, scale, share, inverse);
      float* yr = ys + r * n.value * LANES;
      for (int64_t c = 0; c < n.value; ++c) {
        float y[LANES] = {};
        for (int64_t j = 0; j < n.keys; ++j)
          for (int64_t l = 0; l < LANES; ++l) y[l] += share[j * LANES + l] * vs[(j * n.value + c) * LANES + l];
        for (int64_t l = 0; l < LANES; ++l) yr[c * LANES + l] = y[l] * inverse[l];
      }
    }
    unpack(ys, first, lanes, n.heads, n.rows, n.value, out);
  }
}

struct Gradients {
  float *q, *k, *v;
};

FOR_EACH_PROCESSOR
void attend_backward(const GroupedRows& q, const GroupedRows& k, const GroupedRows& v, const GroupedRows& dy, const Gradients& to, const Sizes& n,
                     int64_t begin, int64_t end) {
  const int64_t queries = n.rows * n.key * LANES, keys = n.keys * n.key * LANES, values = n.keys * n.value * LANES;
  std::vector<float> space(2 * (queries + keys + values) + n.rows * n.value * LANES, 0.0f);
  float *qs = space.data(), *ks = qs + queries, *vs = ks + keys, *dqs = vs + values, *dks = dqs + queries, *dvs = dks + keys;
  float* dys = dvs + values;
  const float scale = 1.0f / std::sqrt(static_cast<float>(n.key));
  float share[MAX_KEYS * LANES], slope[MAX_KEYS * LANES], inverse[LANES], mean[LANES];
  for (int64_t first = begin * LANES; first < std::min(end * LANES, n.pairs()); first += LANES) {
    const int64_t lanes = std::min(LANES, n.pairs() - first);
    pack(q, first, lanes, n.heads, n.rows, n.key, qs);
    pack(k, first, lanes, n.heads, n.keys, n.key, ks);
    pack(v, first, lanes, n.heads, n.keys, n.value, vs);
    pack(dy, first, lanes, n.heads, n.rows, n.value, dys);
    std::fill(dks, dks + keys + values, 0.0f);
    for (int64_t r = 0; r < n.rows; ++r) {
      const float *query = qs + r * n.key * LANES, *above = dys + r * n.value * LANES;
      shares(query, ks, n, scale, share, inverse);
      for (int64_t l = 0; l < LANES; ++l) mean[l] = 0.0f;
      for (int64_t j = 0; j < n.keys; ++j) {
        dot(above, vs + j * n.value * LANES, n.value, slope + j * LANES);
        for (int64_t l = 0; l < LANES; ++l) {
          share[j * LANES + l] *= inverse[l];
          mean[l] += share[j * LANES + l] * slope[j * LANES + l];
        }
      }
      for (int64_t j = 0; j < n.keys; ++j) {
        const float* __restrict shared = share + j * LANES;
        float* __restrict by = slope + j * LANES;
        float* __restrict dv = dvs + j * n.value * LANES;
        float* __restrict dk = dks + j * n.key * LANES;
        for (int64_t l = 0; l < LANES; ++l) by[l] = shared[l] * (by[l] - mean[l]) * scale;
        for (int64_t c = 0; c < n.value; ++c)
          for (int64_t l = 0; l < LANES; ++l) dv[c * LANES + l] += shared[l] * above[c * LANES + l];
        for (int64_t c = 0; c < n.key; ++c)
          for (int64_t l = 0; l < LANES; ++l) dk[c * LANES + l] += by[l] * query[c * LANES + l];
      }
      float* dq = dqs + r * n.key * LANES;
      for (int64_t c = 0; c < n.key; ++c) {
        float d[LANES] = {};
        for (int64_t j = 0; j < n.keys; ++j)
          for (int64_t l = 0; l < LANES; ++l) d[l] += slope[j * LANES + l] * ks[(j * n.key + c) * LANES + l];
        for (int64_t l = 0; l < LANES; ++l) dq[c * LANES + l] = d[l];
      }
    }
    unpack(dqs, first, lanes, n.heads, n.rows, n.key, to.q);
    unpack(dks, first, lanes, n.heads, n.keys, n.key, to.k);
    unpack(dvs, first, lanes, n.heads, n.keys, n.value, to.v);
  }
}

Sizes sizes(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, int64_t heads) {
  for (const auto* t : {&query, &key, &value}) {
    TORCH_CHECK(t->device().is_cpu() && t->scalar_type() == at::kFloat, "attention to few keys: found ", t->toString(), ", expected floats");
    TORCH_CHECK(t->dim() >= 2 && t->dim() == value.dim(), "attention to few keys: found ", t->dim(), " axes");
  }
  const int64_t rows = query.size(-2), keys = key.size(-2);
  TORCH_CHECK(heads > 0 && query.size(-1) % heads == 0 && value.size(-1) % heads == 0 && query.size(-1) > 0 && value.size(-1) > 0,
              "attention to few keys: ", heads, " heads do not divide the channels");
  TORCH_CHECK(keys > 0 && keys <= MAX_KEYS, "attention to few keys: found ", keys, ", expected at most ", MAX_KEYS);
  TORCH_CHECK(key.size(-1) == query.size(-1) && value.size(-2) == keys, "attention to few keys: the sizes do not fit");
  const int64_t groups = query.numel() / std::max<int64_t>(rows * query.size(-1), 1);
  TORCH_CHECK(groups * keys * key.size(-1) == key.numel() && groups * keys * value.size(-1) == value.numel(),
              "attention to few keys: the sizes do not fit");
  return {groups, heads, rows, keys, query.size(-1) / heads, value.size(-1) / heads};
}

at::Tensor flat(const at::Tensor& t) {
  auto all = t.reshape({-1, t.size(-2), t.size(-1)});
  return all.stride(-1) == 1 ? all : all.contiguous();
}

GroupedRows rows(const at::Tensor& t) { return {t.const_data_ptr<float>(), t.stride(0), t.stride(1)}; }

template <class F>
void parallel(const Sizes& n, F work) {
  at::parallel_for(0, (n.pairs() + LANES - 1) / LANES, 1, work);
}

struct FewKeyAttention : torch::autograd::Function<FewKeyAttention> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& query, const at::Tensor& key,
                            const at::Tensor& value, int64_t heads) {
    const auto n = sizes(query, key, value, heads);
    auto size = query.sizes().vec();
    size.back() = value.size(-1);
    auto out = at::empty(size, query.options());
    const auto q = flat(query), k = flat(key), v = flat(value);
    auto* to = out.mutable_data_ptr<float>();
    parallel(n, [&](int64_t begin, int64_t end) { attend(rows(q), rows(k), rows(v), to, n, begin, end); });
    ctx->save_for_backward({query, key, value});
    ctx->saved_data["heads"] = heads;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, torch::autograd::variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto n = sizes(saved[0], saved[1], saved[2], ctx->saved_data["heads"].toInt());
    const auto q = flat(saved[0]), k = flat(saved[1]), v = flat(saved[2]), dy = flat(grads[0]);
    auto like = [](const at::Tensor& t) { return at::empty(t.sizes(), t.options()); };
    auto dq = like(saved[0]), dk = like(saved[1]), dv = like(saved[2]);
    const Gradients to{dq.mutable_data_ptr<float>(), dk.mutable_data_ptr<float>(), dv.mutable_data_ptr<float>()};
    parallel(n, [&](int64_t begin, int64_t end) {
      attend_backward(rows(q), rows(k), rows(v), rows(dy), to, n, begin, end);
    });
    return {dq, dk, dv, at::Tensor()};
  }
};

} // namespace

namespace mobilenas {

// Rows [..., rows, heads * key], [..., keys, heads * key] and [..., keys, heads * value] to [..., rows, heads * value].
at::Tensor few_key_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, int64_t heads) {
  return FewKeyAttention::apply(query, key, value, heads);
}

} // namespace mobilenas
