// Losses of single logits: value and gradient in one pass over the memory.
//
// Each is the closed form of the same name in losses/forms, where the comments give the reasons.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "numbers.h"

namespace losses {

template <class T>
struct ValueAndGradient {
  T value, gradient;
};

struct BceWithLogits {
  template <class T>
  ValueAndGradient<T> operator()(T z, T t, T) const {
    const T linear = times(z < 0 ? -t : 1 - t, z);
    return {linear + log1p_exp_neg_abs(z), (1 - t) * sigmoid(z) - t * sigmoid(-z)};
  }
};

struct WeightedBce {
  template <class T>
  ValueAndGradient<T> operator()(T z, T t, T w) const {
    const T positive = w * t, negative = 1 - t;
    const T linear = times(z < 0 ? -positive : negative, z);
    return {linear + (positive + negative) * log1p_exp_neg_abs(z),
            negative * sigmoid(z) - positive * sigmoid(-z)};
  }
};

struct Bce {
  template <class T>
  ValueAndGradient<T> operator()(T x, T t, T) const {
    const T one = log(x), zero = log1p(-x), spread = x * (1 - x);
    const T value = -(t * (one < -100 ? T(-100) : one) + (1 - t) * (zero < -100 ? T(-100) : zero));
    return {value, (x - t) / (spread < T(1e-12) ? T(1e-12) : spread)};
  }
};

struct SigmoidMse {
  template <class T>
  ValueAndGradient<T> operator()(T z, T t, T) const {
    const T f = sigmoid(z), rest = sigmoid(-z), error = (1 - t) * f - t * rest;
    return {error * error / 2, error * (f * rest)};
  }
};

struct Mse {
  template <class T>
  ValueAndGradient<T> operator()(T z, T t, T) const {
    const T error = z - t;
    return {error * error, 2 * error};
  }
};

struct L1 {
  template <class T>
  ValueAndGradient<T> operator()(T z, T t, T) const {
    const T error = z - t;
    // NaN has no sign.
    const T sign = error > 0 ? T(1) : (error < 0 ? T(-1) : T(0));
    return {magnitude(error), sign};
  }
};

struct KlDiv {
  template <class T>
  ValueAndGradient<T> operator()(T x, T t, T) const {
    return {t == 0 ? T(0) : t * (log(t) - x), -t};
  }
};

struct KlDivOfLogs {
  template <class T>
  ValueAndGradient<T> operator()(T x, T s, T) const {
    const T t = exp(s);
    return {s == -infinity<T> ? T(0) : t * (s - x), -t};
  }
};

struct SoftMargin {
  template <class T>
  ValueAndGradient<T> operator()(T x, T y, T) const {
    const T u = times(y, x);
    return {(u < 0 ? -u : T(0)) + log1p_exp_neg_abs(u), -y * sigmoid(-u)};
  }
};

struct HingeEmbedding {
  double margin;
  template <class T>
  ValueAndGradient<T> operator()(T x, T y, T) const {
    const T m = static_cast<T>(margin), gap = m - x;
    const T hinge = gap < 0 ? T(0) : gap;
    const T near = y == 1 ? x : (x < m ? m : x);
    const T slope = y == 1 ? T(1) : (x >= m ? T(1) : T(0));
    return {y == -1 ? hinge : near, y == -1 ? (x < m ? T(-1) : T(0)) : slope};
  }
};

// Power: the exponent gamma, or -1 for any other one.
template <int Power>
struct SigmoidFocal {
  double gamma, alpha;

  template <class T>
  T power(T u) const {
    if constexpr (Power < 0) {
      // In double, so that the rounding error of gamma ln(u) does not reach the result.
      return static_cast<T>(losses::exp(gamma * losses::log(static_cast<double>(u))));
    } else {
      T product = 1;
#pragma GCC unroll 8
      for (int k = 0; k < Power; ++k) product *= u;
      return product;
    }
  }

  template <class T>
  ValueAndGradient<T> operator()(T z, T t, T) const {
    const T tiny = std::numeric_limits<T>::min();
    const T f = sigmoid(z), rest = sigmoid(-z), u = t * rest + (1 - t) * f;
    const T kappa = (1 - 2 * t) * (u == 0 ? T(1) : f * rest / (u == 0 ? T(1) : u));
    const T a = static_cast<T>(alpha), of_one = alpha < 0 ? T(1) : a;
    const T of_zero = alpha < 0 ? T(1) : 1 - a;
    const T factor = power(u < tiny ? tiny : u) * (of_one * t + of_zero * (1 - t));
    const T bce = times(z < 0 ? -t : 1 - t, z) + log1p_exp_neg_abs(z);
    const T error = (1 - t) * f - t * rest;
    return {times(factor, bce), factor * (error + static_cast<T>(gamma) * times(kappa, bce))};
  }
};

// Elements per block: few enough for the L1 cache.
constexpr int64_t BLOCK = 2048;
// Elements per thread, at least.
constexpr int64_t GRAIN = 16384;

template <class T>
struct Elements {
  const T *z, *t;
  // The form's extra argument (pos_weight) and the weights; null: 1.
  const T *extra, *weight;
  // Outputs: the losses and the gradients; null: not computed.
  T *each, *gradient;
  int64_t count;
  // Factor of the gradients.
  T scale;
};

template <class Form, class T>
double compute_block(const Form& form, const Elements<T>& data, int64_t begin, int64_t end) {
  T values[BLOCK], gradients[BLOCK];
  const int64_t size = end - begin;
  const T* z = data.z + begin;
  const T* t = data.t + begin;
  const T* extra = data.extra ? data.extra + begin : t;
  T* value = data.each ? data.each + begin : values;
  T* gradient = data.gradient ? data.gradient + begin : gradients;
  const T scale = data.scale;
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    const ValueAndGradient<T> found = form(z[i], t[i], extra[i]);
    value[i] = found.value;
    gradient[i] = scale * found.gradient;
  }
  if (data.weight) {
    const T* weight = data.weight + begin;
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) {
      value[i] *= weight[i];
      gradient[i] *= weight[i];
    }
  }
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; ++i) sum += value[i];
  return static_cast<double>(sum);
}

// Returns the sum of the losses, block by block, so that it does not depend on the number of
// threads. `parallel(count, grain, f)` calls f(begin, end) for parts of [0, count).
template <class Form, class T, class Parallel>
double elementwise(const Form& form, const Elements<T>& data, const Parallel& parallel) {
  const int64_t blocks = (data.count + BLOCK - 1) / BLOCK;
  if (blocks <= 1) return blocks ? compute_block(form, data, 0, data.count) : 0.0;
  std::vector<double> sums(static_cast<size_t>(blocks));
  parallel(blocks, GRAIN / BLOCK, [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; ++k)
      sums[static_cast<size_t>(k)] =
          compute_block(form, data, k * BLOCK, std::min((k + 1) * BLOCK, data.count));
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace losses
