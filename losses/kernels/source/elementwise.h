// Losses of single numbers: value and gradient in one pass over the memory.
//
// Each form is the closed form of the same name in losses/forms, whose comments give the reasons.
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
    return {linear + bend_of_softplus(z), (1 - t) * sigmoid(z) - t * sigmoid(-z)};
  }
};

struct WeightedBce {
  template <class T>
  ValueAndGradient<T> operator()(T z, T t, T w) const {
    const T positive = w * t, negative = 1 - t;
    const T linear = times(z < 0 ? -positive : negative, z);
    return {linear + (positive + negative) * bend_of_softplus(z),
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
    return {(u < 0 ? -u : T(0)) + bend_of_softplus(u), -y * sigmoid(-u)};
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
      // In double, where an error of gamma ln(u) in its last digit is none of the result's.
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
    const T bce = times(z < 0 ? -t : 1 - t, z) + bend_of_softplus(z);
    const T error = (1 - t) * f - t * rest;
    return {times(factor, bce), factor * (error + static_cast<T>(gamma) * times(kappa, bce))};
  }
};

// Numbers of a tensor that are computed together: few enough to stay in the innermost cache.
constexpr int64_t BLOCK = 2048;
// Numbers that are worth another thread.
constexpr int64_t GRAIN = 16384;

template <class T>
struct Elements {
  const T *z, *t;
  // A third number of the form and the weights; null: 1.
  const T *third, *weight;
  // Where the losses and the gradients go; null: nowhere.
  T *each, *gradient;
  int64_t count;
  // What the gradients are multiplied by.
  T scale;
};

template <class Form, class T>
double block_of(const Form& form, const Elements<T>& data, int64_t begin, int64_t end) {
  T values[BLOCK], gradients[BLOCK];
  const int64_t size = end - begin;
  const T* z = data.z + begin;
  const T* t = data.t + begin;
  const T* third = data.third ? data.third + begin : t;
  T* value = data.each ? data.each + begin : values;
  T* gradient = data.gradient ? data.gradient + begin : gradients;
  const T scale = data.scale;
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    const ValueAndGradient<T> found = form(z[i], t[i], third[i]);
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

// The sum of the losses. It is added up block by block, so that it does not depend on how many
// threads there are. `parallel(count, grain, f)` calls f(begin, end) for parts of [0, count).
template <class Form, class T, class Parallel>
double elementwise(const Form& form, const Elements<T>& data, const Parallel& parallel) {
  const int64_t blocks = (data.count + BLOCK - 1) / BLOCK;
  if (blocks <= 1) return blocks ? block_of(form, data, 0, data.count) : 0.0;
  std::vector<double> sums(static_cast<size_t>(blocks));
  parallel(blocks, GRAIN / BLOCK, [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; ++k)
      sums[static_cast<size_t>(k)] =
          block_of(form, data, k * BLOCK, std::min((k + 1) * BLOCK, data.count));
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace losses
