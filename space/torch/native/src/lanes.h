// What the loops that the compiler makes wide share.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

// A function is compiled for several kinds of processor, and the one that runs takes its own.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif

namespace mobilenas {

// e to the power of a number that is not positive: a power of two times a Taylor polynomial of what is left, which is at most
// ln(2)/2 and leaves an error below one part in 10^8. A plain formula, so that the compiler computes many at once.
inline float exp_of(float x) {
  x = std::max(x, -87.0f);
  // What is added is so large that its last digit is worth one.
  const float n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

} // namespace mobilenas
