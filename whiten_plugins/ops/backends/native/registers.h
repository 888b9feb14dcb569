// Vector registers, and memory that suits them.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>

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

template <Index kSize>
struct Lanes {
  typedef float Type __attribute__((vector_size(4 * kSize)));
};

// Half is added to half: lane by lane it takes three times as long.
template <Index kSize>
inline float sum_of_lanes(typename Lanes<kSize>::Type value) {
  if constexpr (kSize == 1) {
    return value[0];
  } else {
    typename Lanes<kSize / 2>::Type halves[2];
    std::memcpy(halves, &value, sizeof value);
    return sum_of_lanes<kSize / 2>(halves[0] + halves[1]);
  }
}

inline float sum(Vector value) { return sum_of_lanes<kLanes>(value); }

inline Index round_up(Index value, Index step) {
  return (value + step - 1) / step * step;
}

// Memory of one thread, aligned to cache lines and not set to anything. A copy
// is memory of the same size.
class Scratch {
 public:
  explicit Scratch(Index size)
      : lines_(round_up(size, 16) / 16), memory_(new Line[lines_]) {}
  Scratch(const Scratch& other) : Scratch(other.lines_ * 16) {}
  float* data() { return memory_[0].values; }

 private:
  struct alignas(64) Line {
    float values[16];
  };
  Index lines_;
  std::unique_ptr<Line[]> memory_;
};
