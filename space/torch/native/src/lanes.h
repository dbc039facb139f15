// Shared by the loops that the compiler vectorises.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

// Compiles a function for several instruction sets; the CPU picks one at run time.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif

namespace mobilenas {

// exp of a number that is not positive: a power of two times a Taylor polynomial of the remainder, which is at most ln(2)/2, so
// that the relative error is below 1e-8. Branch-free, so that the compiler vectorises it.
inline float exp_of(float x) {
  x = std::max(x, -87.0f);
  // Rounds to the nearest integer: at this magnitude floats have no fraction.
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
