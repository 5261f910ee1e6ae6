// Elementary functions without branches or calls, so that the compiler vectorises loops over them.
// Their error is below 4 ulp for every argument, denormal numbers, infinities and NaN included.
// Unless a comment says otherwise the series are Taylor's, up to the last term above the rounding
// error of T. In a kernel of float32 those of double have errors of 1e-11: its result has 7 digits.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

// The compiler's budget for inlining must not decide whether a loop is vectorised.
#define INLINE [[gnu::always_inline]] inline
#define INLINE_LAMBDA __attribute__((always_inline))

namespace losses {

// Whether the kernel, whose dtype T its source defines, computes in float32.
constexpr bool OF_FLOAT32 = std::is_same_v<T, float>;

template <class T>
struct Format;

template <>
struct Format<float> {
  using Bits = uint32_t;
  using Integer = int32_t;
  static constexpr int mantissa = 23, bias = 127;
  // 1.5 * 2^23: adding it rounds to an integer.
  static constexpr float rounder = 12582912.0f;
  // ln 2 in two parts, the first of so few digits that its product with an exponent is exact.
  static constexpr float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
  // exp is infinite above and 0 below.
  static constexpr float most = 89.0f, least = -104.0f;
  // Up to there the products of n and ln2_high are exact; beyond it z - x is, unless exp(z - x) is 0.
  static constexpr float near = 256.0f;
  static constexpr int exp_terms = 6, atanh_terms = 5;
};

template <>
struct Format<double> {
  using Bits = uint64_t;
  using Integer = int64_t;
  static constexpr int mantissa = 52, bias = 1023;
  static constexpr double rounder = 6755399441055744.0;
  static constexpr double ln2_high = 0x1.62e42fefap-1, ln2_low = 0x1.cf79abc9e3b398p-40;
  static constexpr double most = 710.0, least = -746.0;
  static constexpr double near = 65536.0;
  static constexpr int exp_terms = OF_FLOAT32 ? 9 : 13;
  static constexpr int atanh_terms = OF_FLOAT32 ? 5 : 12, long_atanh_terms = OF_FLOAT32 ? 9 : 17;
};

template <class T>
INLINE typename Format<T>::Bits bits_of(T x) {
  typename Format<T>::Bits bits;
  std::memcpy(&bits, &x, sizeof x);
  return bits;
}

template <class T>
INLINE T number_of(typename Format<T>::Bits bits) {
  T x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

template <class T>
constexpr T infinity = std::numeric_limits<T>::infinity();
template <class T>
constexpr T not_a_number = std::numeric_limits<T>::quiet_NaN();

template <class T>
INLINE T magnitude(T x) {
  return std::abs(x);
}

// condition ? x : y. By bits: the compiler turns some selections into branches, and a loop with a
// branch is not vectorised.
template <class T>
INLINE T select(bool condition, T x, T y) {
  using Bits = typename Format<T>::Bits;
  const Bits mask = Bits(0) - static_cast<Bits>(condition);
  return number_of<T>((bits_of(x) & mask) | (bits_of(y) & ~mask));
}

template <class T>
INLINE bool infinite(T x) {
  return magnitude(x) == infinity<T>;
}

// 2^n for an n that a normal number has for its exponent.
template <class T>
INLINE T power_of_two(typename Format<T>::Integer n) {
  using Bits = typename Format<T>::Bits;
  return number_of<T>(static_cast<Bits>(n + Format<T>::bias) << Format<T>::mantissa);
}

// The coefficient of r^k in exp(r), for |r| <= ln(2) / 2. Those of float32 from r^3 on are not
// Taylor's, but those whose largest relative error, 4e-9, is the least.
template <class T>
constexpr T exp_coefficient(int k) {
  constexpr double fitted[] = {0.166665338, 0.0416672388, 0.00836750931, 0.00138637584};
  if (std::is_same_v<T, float> && k >= 3) return static_cast<T>(fitted[k - 3]);
  double product = 1;
  for (int j = 2; j <= k; ++j) product *= j;
  return static_cast<T>(1 / product);
}

// exp(x) = 2^n share with share in [sqrt(1/2), sqrt(2)].
template <class T>
struct Power {
  T share;
  // Those of n + rounder.
  typename Format<T>::Bits bits;

  INLINE typename Format<T>::Integer n() const {
    return static_cast<typename Format<T>::Integer>(bits - bits_of(Format<T>::rounder));
  }
};

// exp(r) for |r| <= ln(2) / 2.
template <class T>
INLINE T exp_of_rest(T r) {
  T sum = exp_coefficient<T>(Format<T>::exp_terms);
#pragma GCC unroll 16
  for (int k = Format<T>::exp_terms - 1; k >= 0; --k) sum = sum * r + exp_coefficient<T>(k);
  return sum;
}

// x = n ln 2 + r with |r| <= ln(2) / 2.
template <class T>
INLINE Power<T> power_of(T x) {
  using F = Format<T>;
  const T shifted = x * T(1.4426950408889634) + F::rounder;
  const T n = shifted - F::rounder;
  const T r = (x - n * F::ln2_high) - n * F::ln2_low;
  return {exp_of_rest(r), bits_of(shifted)};
}

template <class T>
INLINE T exp(T x) {
  using F = Format<T>;
  using Bits = typename F::Bits;
  using Integer = typename F::Integer;
  // Written so that NaN is passed on.
  x = x > F::most ? F::most : x;
  x = x < F::least ? F::least : x;
  const Power<T> power = power_of(x);
  // 2^n in two factors, because it need not be a normal number while exp(x) is one.
  const Integer n = power.n(), half = n >> 1;
  const Bits low = static_cast<Bits>(half), high = static_cast<Bits>(n) - low;
  return (power.share * power_of_two<T>(static_cast<Integer>(low))) *
         power_of_two<T>(static_cast<Integer>(high));
}

// exp(a + b) with full precision, which the rounding error of a large sum would take.
template <class T>
INLINE T exp_of_sum(T a, T b) {
  using F = Format<T>;
  using Bits = typename F::Bits;
  using Integer = typename F::Integer;
  const T sum = a + b;
  T x = sum > F::most ? F::most : sum;
  x = x < F::least ? F::least : x;
  const T shifted = x * T(1.4426950408889634) + F::rounder;
  const T n = shifted - F::rounder;
  const T share = exp_of_rest(((a - n * F::ln2_high) - n * F::ln2_low) + b);
  const Integer exponent = static_cast<Integer>(bits_of(shifted) - bits_of(F::rounder)), half = exponent >> 1;
  const Bits low = static_cast<Bits>(half), high = static_cast<Bits>(exponent) - low;
  const T found = (share * power_of_two<T>(static_cast<Integer>(low))) * power_of_two<T>(static_cast<Integer>(high));
  // Where x is not the sum, the rest may be anything.
  return sum < F::least ? T(0) : (sum > F::most ? infinity<T> : found);
}

// 2^(n + UP) is a normal number for every exponential exp(x) <= 1, while 2^n need not be one.
template <class T>
constexpr int UP = Format<T>::bias / 2 + 1;

// exp(x) for x <= 0.
template <class T>
INLINE T decay(T x) {
  using F = Format<T>;
  x = x < F::least ? F::least : x;
  const Power<T> power = power_of(x);
  return (power.share * power_of_two<T>(power.n() + UP<T>)) * power_of_two<T>(-UP<T>);
}

// artanh(s) / s from s^2.
template <class T, int Terms>
INLINE T atanh_ratio(T square) {
  T sum = T(1.0 / (2 * Terms + 1));
#pragma GCC unroll 20
  for (int k = Terms - 1; k >= 0; --k) sum = sum * square + T(1.0 / (2 * k + 1));
  return sum;
}

// ln(1 + x) for x in [0, 1]. In float32 it is x times the polynomial whose largest relative error,
// 5e-9, is the least; a division would take longer.
template <class T>
INLINE T log1p_of_share(T x) {
  if constexpr (std::is_same_v<T, float>) {
    constexpr float fitted[] = {1.0f,           -0.499999017f, 0.333299637f,   -0.249541342f, 0.196759388f,
                                -0.153055921f,  0.106036544f,  -0.0569595285f, 0.0198514592f, -0.00324402447f};
    float sum = fitted[9];
#pragma GCC unroll 16
    for (int k = 8; k >= 0; --k) sum = sum * x + fitted[k];
    return sum * x;
  } else {
    const T s = x / (2 + x);
    return 2 * s * atanh_ratio<T, Format<T>::long_atanh_terms>(s * s);
  }
}

// m and e with x = m 2^e and m in [sqrt(1/2), sqrt(2)), for a normal number x.
template <class T>
struct Parts {
  T m;
  typename Format<T>::Integer e;
};

template <class T>
INLINE Parts<T> parts_of(T x) {
  using F = Format<T>;
  using Bits = typename F::Bits;
  const Bits root = bits_of(T(0.70710678118654752));
  const Bits offset = bits_of(x) - root;
  return {number_of<T>((offset & ((Bits(1) << F::mantissa) - 1)) + root),
          static_cast<typename F::Integer>(offset) >> F::mantissa};
}

// ln((1 + f) 2^e) for x = (1 + f) 2^e, or what it is where x is not a positive number.
template <class T>
INLINE T log_of_parts(T x, T f, T e) {
  using F = Format<T>;
  const T s = f / (2 + f);
  const T found = e * F::ln2_high + (2 * s * atanh_ratio<T, F::atanh_terms>(s * s) + e * F::ln2_low);
  // +0 and -0, what is negative or NaN, and infinity.
  const T edge = x == 0 ? -infinity<T> : (x > 0 ? x : std::numeric_limits<T>::quiet_NaN());
  return x > 0 && x < infinity<T> ? found : edge;
}

template <class T>
INLINE T log(T x) {
  using F = Format<T>;
  // A denormal number is made a normal one first.
  const bool small = x < std::numeric_limits<T>::min();
  const Parts<T> parts = parts_of(small ? x * power_of_two<T>(F::mantissa + 1) : x);
  const T e = static_cast<T>(parts.e) - (small ? T(F::mantissa + 1) : T(0));
  return log_of_parts(x, parts.m - 1, e);
}

// ln(1 + x).
template <class T>
INLINE T log1p(T x) {
  const T sum = 1 + x;
  const Parts<T> parts = parts_of(sum);
  // The rounding error of the sum. 2^(1 - e) is 0 for the largest e, for which the error is too.
  const T lost = (x - (sum - 1)) * power_of_two<T>(1 - parts.e) * T(0.5);
  return log_of_parts(sum, (parts.m - 1) + lost, static_cast<T>(parts.e));
}

// 1 / (1 + exp(-x)).
template <class T>
INLINE T sigmoid(T x) {
  const T small = decay(-magnitude(x));
  return (x < 0 ? small : T(1)) / (1 + small);
}

// ln(1 + exp(-|x|)).
template <class T>
INLINE T log1p_exp_neg_abs(T x) {
  return log1p_of_share(decay(-magnitude(x)));
}

// exp(x) - 1.
template <class T>
INLINE T expm1(T x) {
  using F = Format<T>;
  using Integer = typename F::Integer;
  const T least = T(-F::mantissa - 3) * T(0.7);
  T y = x < least ? least : x;
  y = y > F::most ? F::most : y;
  const T shifted = y * T(1.4426950408889634) + F::rounder;
  const T n = shifted - F::rounder;
  const T r = (y - n * F::ln2_high) - n * F::ln2_low;
  T sum = exp_coefficient<T>(F::exp_terms);
#pragma GCC unroll 16
  for (int k = F::exp_terms - 1; k >= 1; --k) sum = sum * r + exp_coefficient<T>(k);
  // Half of 2^n, which need not be a number where exp(x) - 1 is one.
  const T half = power_of_two<T>(static_cast<Integer>(bits_of(shifted) - bits_of(F::rounder)) - 1);
  return 2 * (half * (sum * r) + (half - T(0.5)));
}

template <class T>
INLINE T tanh(T x) {
  const T e = expm1(-2 * magnitude(x));
  const T found = -e / (2 + e);
  return x < 0 ? -found : found;
}

// 1, 0 or -1; 0 for NaN, as torch has it.
template <class T>
INLINE T sign(T x) {
  return x > 0 ? T(1) : (x < 0 ? T(-1) : T(0));
}

template <class T>
INLINE T sqrt(T x) {
  return std::sqrt(x);
}

// x at least (at most) a bound; NaN for NaN.
template <class T>
INLINE T larger(T x, T bound) {
  return x < bound ? bound : x;
}

template <class T>
INLINE T smaller(T x, T bound) {
  return x > bound ? bound : x;
}

// x^exponent for x >= 0, in double, so that the rounding error of the logarithm does not count.
template <class T>
INLINE T power(T x, double exponent) {
  return static_cast<T>(losses::exp(exponent * losses::log(static_cast<double>(x))));
}

// x rounded to the 8 digits of bfloat16.
INLINE float round_to_bfloat16(float x) {
  uint32_t bits = bits_of(x);
  bits += 0x7fff + ((bits >> 16) & 1);
  return x == x ? number_of<float>(bits & 0xffff0000u) : x;
}

INLINE double round_to_bfloat16(double x) { return round_to_bfloat16(static_cast<float>(x)); }

// What the largest number of a row gives to the exponentials exp(z - largest) of all its numbers.
//
// z itself is split into n ln 2 + r, not the difference, whose rounding error is a relative error of
// 4e-6 in exp(-80). Where the largest number is large, the difference is exact, and is split.
template <class T>
struct Base {
  T largest;
  // What is taken from z first: 0, or the largest number.
  T shift;
  // Where the exponential is 0.
  T least;
  // The reciprocal of the share of the largest number, and its exponent.
  T over;
  typename Format<T>::Bits exponent;
};

template <class T>
INLINE Base<T> base_of(T largest) {
  using F = Format<T>;
  const bool large = magnitude(largest) > F::near;
  const T x = large ? T(0) : largest;
  const T shifted = x * T(1.4426950408889634) + F::rounder;
  const auto raised = static_cast<typename F::Bits>(UP<T> + F::bias);
  return {largest, large ? largest : T(0), x + F::least, power_of_two<T>(-UP<T>) / power_of(x).share,
          bits_of(shifted) - raised};
}

// exp(z - largest), 1 where the two are equal, at infinity too.
template <class T>
INLINE T exponential(T z, const Base<T>& base) {
  using F = Format<T>;
  T x = z - base.shift;
  x = x < base.least ? base.least : x;
  const Power<T> power = power_of(x);
  const T scale = number_of<T>((power.bits - base.exponent) << F::mantissa);
  return z == base.largest ? T(1) : (power.share * scale) * base.over;
}

}  // namespace losses
