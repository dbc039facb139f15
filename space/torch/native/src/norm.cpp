// A training-mode batch norm with an optional SiLU on channels-last maps: the batch is read twice and written once.

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "lanes.h"

namespace {

// Values that are summed at once: several positions if there are few channels.
constexpr int64_t WIDE = 64;
// Rows whose sum is taken in float32 before it is added in float64.
constexpr int64_t BLOCK = 256;

FOR_EACH_PROCESSOR
void add_moments(const float* x, int64_t rows, int64_t width, const float* origin, float* sum, float* square) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < width; ++c) {
      const float d = x[r * width + c] - origin[c];
      sum[c] += d;
      square[c] += d * d;
    }
}

FOR_EACH_PROCESSOR
void scaled(const float* x, float* y, int64_t rows, int64_t width, const float* by, const float* plus) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < width; ++c) y[r * width + c] = x[r * width + c] * by[c] + plus[c];
}

FOR_EACH_PROCESSOR
void scaled_silu(const float* x, float* y, int64_t rows, int64_t width, const float* by, const float* plus) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < width; ++c) {
      const float z = x[r * width + c] * by[c] + plus[c];
      const float e = mobilenas::exp_of(-std::fabs(z));
      const float s = 1.0f / (1.0f + e);
      y[r * width + c] = z * (z < 0.0f ? e * s : s);
    }
}

} // namespace

namespace mobilenas {

// Normalises `x` [B, C, H, W], channels-last in memory, in place by the mean and variance of the batch, scales and shifts it, and
// applies SiLU if asked; updates the running statistics with `momentum`.
void batch_norm_silu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean,
                   const at::Tensor& variance, double momentum, double epsilon, bool silu) {
  TORCH_CHECK(x.dim() == 4 && x.is_contiguous(at::MemoryFormat::ChannelsLast) && x.device().is_cpu() && x.scalar_type() == at::kFloat,
              "batch norm: found ", x.toString(), " ", x.sizes(), ", expected a channels-last map of floats");
  const int64_t channels = x.size(1), all = x.numel() / std::max<int64_t>(channels, 1);
  TORCH_CHECK(all > 1, "batch norm: found one value for each channel, expected more");
  for (const auto* t : {&weight, &bias, &mean, &variance})
    TORCH_CHECK(t->dim() == 1 && t->size(0) == channels && t->stride(0) == 1 && t->scalar_type() == at::kFloat,
                "batch norm: found ", t->sizes(), ", expected ", channels, " floats");
  float* data = x.mutable_data_ptr<float>();
  const int64_t times = std::max<int64_t>(WIDE / channels, 1), width = times * channels;
  const int64_t rows = all / times, rest = all % times;

  // Relative to the first position, so that the squares stay small.
  std::vector<float> origin(width), sum(width), square(width);
  for (int64_t c = 0; c < width; ++c) origin[c] = data[c % channels];
  std::vector<double> sums(channels), squares(channels);
  auto gather = [&] {
    for (int64_t c = 0; c < width; ++c) {
      sums[c % channels] += sum[c];
      squares[c % channels] += square[c];
      sum[c] = square[c] = 0.0f;
    }
  };
  for (int64_t r = 0; r < rows; r += BLOCK) {
    add_moments(data + r * width, std::min(BLOCK, rows - r), width, origin.data(), sum.data(), square.data());
    gather();
  }
  add_moments(data + rows * width, 1, rest * channels, origin.data(), sum.data(), square.data());
  gather();

  std::vector<float> by(width), plus(width);
  for (int64_t c = 0; c < channels; ++c) {
    const double off = sums[c] / all, middle = origin[c] + off;
    const double spread = std::max(squares[c] / all - off * off, 0.0);
    const double scale = weight.const_data_ptr<float>()[c] / std::sqrt(spread + epsilon);
    const double shift = bias.const_data_ptr<float>()[c] - middle * scale;
    for (int64_t k = c; k < width; k += channels) by[k] = scale, plus[k] = shift;
    auto move = [&](const at::Tensor& t, double to) {
      float& now = t.mutable_data_ptr<float>()[c];
      now = (1.0 - momentum) * now + momentum * to;
    };
    move(mean, middle);
    move(variance, spread * all / (all - 1));
  }
  auto apply = silu ? scaled_silu : scaled;
  apply(data, data, rows, width, by.data(), plus.data());
  apply(data + rows * width, data + rows * width, 1, rest * channels, by.data(), plus.data());
}

} // namespace mobilenas
