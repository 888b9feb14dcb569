// Vector registers, and memory that suits them.
#pragma once

#include <cstdint>
#include <vector>

using Index = std::int64_t;

#ifdef __AVX512F__
constexpr Index kLanes = 16;      // floats in a register
constexpr Index kProductRows = 8;  // registers that hold a tile: this times 2
constexpr Index kOuterRows = 4;    // or this squared
#else
constexpr Index kLanes = 8;
constexpr Index kProductRows = 4;
constexpr Index kOuterRows = 3;
#endif

typedef float Vector __attribute__((vector_size(4 * kLanes), aligned(4),
                                    may_alias));

inline Vector load(const float* source) {
  return *reinterpret_cast<const Vector*>(source);
}

inline void store(float* target, Vector value) {
  *reinterpret_cast<Vector*>(target) = value;
}

inline float sum(Vector value) {
  float total = 0;
#pragma omp simd reduction(+ : total)
  for (Index lane = 0; lane < kLanes; ++lane) total += value[lane];
  return total;
}

inline Index round_up(Index value, Index step) {
  return (value + step - 1) / step * step;
}

// Memory of one thread, aligned to cache lines.
class Scratch {
 public:
  explicit Scratch(Index size) : lines_(round_up(size, 16) / 16) {}
  float* data() { return lines_.data()->values; }

 private:
  struct alignas(64) Line {
    float values[16];
  };
  std::vector<Line> lines_;
};
