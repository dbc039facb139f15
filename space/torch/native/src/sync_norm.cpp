// A training-mode batch norm over the batches of all ranks, of any kind of map on any device.

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "group.h"

using mobilenas::Group;
using mobilenas::sum_over_ranks;

namespace {

// Of each channel of all images on all ranks.
struct Moments {
  double count;
  at::Tensor mean, variance; // double, where the map is
};

std::vector<int64_t> all_but_channels(const at::Tensor& x) {
  std::vector<int64_t> dims;
  for (int64_t d = 0; d < x.dim(); ++d)
    if (d != 1) dims.push_back(d);
  return dims;
}

void append(std::vector<double>& values, const at::Tensor& sums) {
  const auto here = sums.to(at::kCPU, at::kDouble).contiguous();
  const auto* data = here.const_data_ptr<double>();
  values.insert(values.end(), data, data + here.numel());
}

at::Tensor tensor(const std::vector<double>& values, int64_t first, int64_t n, const at::Tensor& like) {
  return at::from_blob(const_cast<double*>(values.data()) + first, {n}, at::kDouble).clone().to(like.device());
}

at::Tensor along_channels(const at::Tensor& t, const at::Tensor& x) {
  std::vector<int64_t> shape(x.dim(), 1);
  shape[1] = -1;
  return t.to(x.scalar_type()).view(shape);
}

Moments moments(const at::Tensor& x, const Group* group) {
  const auto dims = all_but_channels(x);
  const int64_t channels = x.size(1);
  const auto wide = x.to(at::kDouble);
  std::vector<double> values{static_cast<double>(x.numel() / std::max<int64_t>(channels, 1))};
  append(values, wide.sum(dims));
  append(values, wide.square().sum(dims));
  sum_over_ranks(group, values);
  const double count = values[0];
  const auto mean = tensor(values, 1, channels, x) / count;
  return {count, mean, (tensor(values, 1 + channels, channels, x) / count - mean.square()).clamp_min(0)};
}

struct SyncBatchNorm : torch::autograd::Function<SyncBatchNorm> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, const Moments* m, double epsilon, const Group* group) {
    const auto inverse = (m->variance + epsilon).rsqrt();
    const auto scale = weight.to(at::kDouble) * inverse;
    ctx->save_for_backward({x, weight, m->mean, inverse});
    ctx->saved_data["count"] = m->count;
    ctx->saved_data["group"] = reinterpret_cast<int64_t>(group);
    return x * along_channels(scale, x) + along_channels(bias.to(at::kDouble) - m->mean * scale, x);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, torch::autograd::variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &mean = saved[2], &inverse = saved[3];
    const auto* group = reinterpret_cast<const Group*>(ctx->saved_data["group"].toInt());
    const double count = ctx->saved_data["count"].toDouble();
    const auto dims = all_but_channels(x);
    const auto& dy = grads[0];
    const auto normal = (x - along_channels(mean, x)) * along_channels(inverse, x);
    const auto sum = dy.to(at::kDouble).sum(dims), dot = (dy * normal).to(at::kDouble).sum(dims);
    std::vector<double> values;
    append(values, sum);
    append(values, dot);
    sum_over_ranks(group, values);
    const int64_t channels = x.size(1);
    const auto all_sum = tensor(values, 0, channels, x) / count, all_dot = tensor(values, channels, channels, x) / count;
    const auto dx = (dy - along_channels(all_sum, x) - normal * along_channels(all_dot, x)) *
                    along_channels(weight.to(at::kDouble) * inverse, x);
    const at::Tensor none;
    // Those of the parameters are this rank's own: the gradients of all ranks are summed in the end.
    return {dx, dot.to(weight.scalar_type()), sum.to(weight.scalar_type()), none, none, none};
  }
};

} // namespace

namespace mobilenas {

at::Tensor sync_batch_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean,
                           const at::Tensor& variance, double momentum, double epsilon, const Group* group) {
  Moments m;
  {
    at::AutoGradMode none(false);
    m = moments(x, group);
    if (mean.defined() && variance.defined()) {
      mean.mul_(1 - momentum).add_(m.mean.to(mean.scalar_type()), momentum);
      variance.mul_(1 - momentum).add_((m.variance * (m.count / std::max(m.count - 1, 1.0))).to(variance.scalar_type()), momentum);
    }
  }
  return SyncBatchNorm::apply(x, weight, bias, &m, epsilon, group);
}

} // namespace mobilenas
