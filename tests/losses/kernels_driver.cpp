// What the tests run under the address and undefined-behaviour sanitizers: every kernel on buffers
// that end where the data does, and the functions of numbers.h against the C library's long double.
// It prints the largest error of each function in ulp, and ends with 1 if a kernel wrote nothing.
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "elementwise.h"
#include "likelihood.h"
#include "margin.h"
#include "softmax.h"

namespace {

std::mt19937_64 generator(0);

int64_t integer(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(generator);
}

// Ordinary numbers, and now and then one that is not.
template <class T>
T number() {
  using Limits = std::numeric_limits<T>;
  static const T odd[] = {0, -T(0), Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(),
                          Limits::denorm_min(), Limits::max(), Limits::lowest(), 88, -88, 1e4, -1e4};
  if (integer(0, 9) == 0) return odd[integer(0, 11)];
  return static_cast<T>(std::normal_distribution<double>(0, std::exp(integer(-3, 4)))(generator));
}

template <class T>
std::vector<T> numbers(int64_t count) {
  std::vector<T> found(static_cast<size_t>(count));
  for (T& each : found) each = number<T>();
  return found;
}

// Parts in turn, as several threads would have them.
struct Serial {
  template <class F>
  void operator()(int64_t count, int64_t grain, const F& f) const {
    for (int64_t begin = 0; begin < count; begin += grain) f(begin, std::min(count, begin + grain));
  }
};

int failures = 0;

// A kernel has to write every place: none is left at this value.
template <class T>
constexpr T UNWRITTEN = T(-123456.75);

template <class T>
void written(const std::vector<T>& all, const char* what) {
  for (const T each : all)
    if (each == UNWRITTEN<T>) {
      std::printf("%s left a place unwritten\n", what);
      ++failures;
      return;
    }
}

template <class T>
void elements() {
  const int64_t count = integer(0, 3) ? integer(0, 70) : integer(2000, 9000);
  const auto z = numbers<T>(count), t = numbers<T>(count), extra = numbers<T>(count);
  const auto weight = numbers<T>(count);
  std::vector<T> each(z.size(), UNWRITTEN<T>), gradient(z.size(), UNWRITTEN<T>);
  const bool with_each = integer(0, 1), with_gradient = integer(0, 1), weighted = integer(0, 1);
  const losses::Elements<T> data{z.data(), t.data(), extra.data(), weighted ? weight.data() : nullptr,
                                 with_each ? each.data() : nullptr,
                                 with_gradient ? gradient.data() : nullptr, count, T(0.5)};
  const auto run = [&](const auto& form) { losses::elementwise(form, data, Serial{}); };
  run(losses::BceWithLogits{});
  run(losses::WeightedBce{});
  run(losses::Bce{});
  run(losses::SigmoidMse{});
  run(losses::Mse{});
  run(losses::L1{});
  run(losses::KlDiv{});
  run(losses::KlDivOfLogs{});
  run(losses::SoftMargin{});
  run(losses::HingeEmbedding{1.0});
  run(losses::SigmoidFocal<2>{2.0, 0.25});
  run(losses::SigmoidFocal<-1>{1.5, -1.0});
  if (with_each) written(each, "elementwise, the losses");
  if (with_gradient) written(gradient, "elementwise, the gradients");
}

template <class T>
void rows() {
  const bool columns = integer(0, 1);
  const int64_t classes = integer(0, 2) ? integer(1, 40) : integer(41, 3000);
  const int64_t outer = integer(1, 5), inner = columns ? integer(1, 300) : 1;
  const auto z = numbers<T>(outer * classes * inner), t = numbers<T>(outer * classes * inner);
  const auto weight = numbers<T>(classes);
  std::vector<int64_t> index(static_cast<size_t>(outer * inner));
  for (int64_t& y : index) y = integer(0, 5) ? integer(0, classes - 1) : -100;
  std::vector<T> each(index.size(), UNWRITTEN<T>), gradient(z.size(), UNWRITTEN<T>);
  const bool soft = integer(0, 1), with_gradient = integer(0, 1);
  const losses::Rows<T> data{z.data(), outer, classes, inner, soft ? nullptr : index.data(),
                             soft ? t.data() : nullptr, -100,
                             integer(0, 1) ? weight.data() : nullptr, integer(0, 1) ? 0.1 : 0.0,
                             each.data(), with_gradient ? gradient.data() : nullptr, T(0.5)};
  losses::cross_entropy(data, Serial{});
  if (!soft) losses::nll(data, Serial{});
  written(each, "cross-entropy, the losses");
  if (with_gradient) written(gradient, "cross-entropy, the gradients");
}

template <class T>
void pairs() {
  const int64_t count = integer(1, 9), classes = integer(1, 50);
  const int64_t length = integer(0, 1) ? 1 : classes;
  const auto z = numbers<T>(count * classes), weight = numbers<T>(classes);
  std::vector<int64_t> lists(static_cast<size_t>(count * length));
  for (int64_t& y : lists) y = integer(length == 1 ? 0 : -1, classes - 1);
  std::vector<T> each(static_cast<size_t>(count), UNWRITTEN<T>), gradient(z.size(), UNWRITTEN<T>);
  const losses::PairRows<T> rows{z.data(), lists.data(), count, classes, length,
                               length == 1 ? weight.data() : nullptr, each.data(),
                               integer(0, 1) ? gradient.data() : nullptr, T(0.5)};
  losses::pairs_loss(losses::Pairs<1>{1.0}, rows, Serial{});
  losses::pairs_loss(losses::Pairs<2>{0.5}, rows, Serial{});
  written(each, "pairs, the losses");
  if (rows.gradient) written(gradient, "pairs, the gradients");
}

template <class T, class F, class Truth>
void accuracy(const char* name, T low, T high, const F& f, const Truth& truth) {
  long double worst = 0;
  for (int k = 0; k < 200000; ++k) {
    // As many numbers near 0 as far from it.
    const T share = std::uniform_real_distribution<T>(-1, 1)(generator);
    T x = share * std::exp2(static_cast<T>(-integer(0, 40))) * (share < 0 ? -low : high);
    x = std::min(high, std::max(low, x));
    const long double exact = truth(static_cast<long double>(x));
    const T rounded = static_cast<T>(exact), found = f(x);
    if (found == rounded || (std::isnan(found) && std::isnan(rounded))) continue;
    const T size = std::max(std::abs(rounded), std::numeric_limits<T>::min());
    const long double ulp = std::nextafter(size, std::numeric_limits<T>::infinity()) - size;
    worst = std::max(worst, std::abs((static_cast<long double>(found) - exact) / ulp));
  }
  std::printf("%s %s %.3Lf\n", sizeof(T) == 4 ? "float32" : "float64", name, worst);
}

template <class T>
void functions() {
  const T edge = sizeof(T) == 4 ? T(120) : T(800);
  accuracy<T>("exp", -edge, edge, losses::exp<T>, [](long double x) { return std::exp(x); });
  accuracy<T>("decay", -edge, 0, losses::decay<T>, [](long double x) { return std::exp(x); });
  accuracy<T>("log", 0, std::numeric_limits<T>::max() / 4, losses::log<T>,
              [](long double x) { return std::log(x); });
  accuracy<T>("log1p", T(-1), T(1e6), losses::log1p<T>, [](long double x) { return std::log1p(x); });
  accuracy<T>("log1p_of_share", 0, 1, losses::log1p_of_share<T>,
              [](long double x) { return std::log1p(x); });
  accuracy<T>("sigmoid", -edge, edge, losses::sigmoid<T>,
              [](long double x) { return 1 / (1 + std::exp(-x)); });
}

}  // namespace

int main() {
  for (int k = 0; k < 300; ++k) {
    elements<float>();
    elements<double>();
    rows<float>();
    rows<double>();
    pairs<float>();
    pairs<double>();
  }
  functions<float>();
  functions<double>();
#ifdef __AVX512F__
  accuracy<float>(
      "decay-avx512", -120, 0,
      [](float x) { return _mm512_cvtss_f32(losses::decay(_mm512_set1_ps(x))); },
      [](long double x) { return std::exp(x); });
#endif
  return failures ? 1 : 0;
}
