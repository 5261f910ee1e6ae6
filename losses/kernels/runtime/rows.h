// Losses of rows of classes: one row at a time, or W of them beside each other.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "memory.h"
#include "softmax.h"

namespace losses {

// One row, or a tile of W rows: z[c * W + i].
template <class T>
struct Row {
  const T *z, *t;
  // A number per class, the same for all rows.
  const T* w;
  int classes;
  // The class of the row, or of each row of the tile.
  int index;
  const int* indices;
};

// Classes of a loop with a float32 sum: see softmax.h.
constexpr int BLOCK = CLASSES;
// Up to so many classes examples that lie beside each other are not copied one by one.
constexpr int64_t COLUMNS = 1024;
// Numbers per thread, at least.
constexpr int64_t GRAIN = 16384;

template <class T, class Loss>
class Rows {
 public:
  static constexpr int W = LANES<T>;

  Rows(const Job& job, bool of_value)
      : job_(job), loss_(job.constants), classes_(static_cast<int>(job.classes)), of_value_(of_value),
        tiled_(job.inner > 1 ? job.classes <= COLUMNS : job.classes <= FEW) {
    const auto copied = [&](const Array& from, std::vector<T>& to) -> const T* {
      if (!from.data) return nullptr;
      to.resize(static_cast<size_t>(classes_));
      read(from, 0, classes_, to.data());
      return to.data();
    };
    w_ = copied(job.w, w_memory_);
    weight_ = copied(job.weight, weight_memory_);
    const int64_t length = job.inner > 1 ? job.inner : job.outer;
    const int64_t rows = tiled_ ? 8 * W : std::clamp<int64_t>(4096 / std::max<int64_t>(1, job.classes), 1, 128);
    part_ = std::max<int64_t>(W, rows / W * W);
    if (!tiled_) part_ = rows;
    length_ = length;
    parts_ = (length + part_ - 1) / part_;
    count_ = job.inner > 1 ? parts_ * job.outer : parts_;
  }

  // Returns the sum of the losses, the same for any number of threads.
  double run() const {
    std::vector<double> sums(static_cast<size_t>(count_));
    const int64_t grain = std::max<int64_t>(1, GRAIN / (part_ * std::max<int64_t>(1, job_.classes)));
    run_parallel(job_, count_, grain, [&](int64_t begin, int64_t end) {
      const auto memory = room();
      for (int64_t k = begin; k < end; ++k) {
        const int64_t first = k % parts_ * part_, size = std::min(part_, length_ - first);
        const int64_t outer = job_.inner > 1 ? k / parts_ : 0;
        sums[static_cast<size_t>(k)] =
            tiled_ ? tiles(outer, first, size, memory.get()) : rows(outer, first, size, memory.get());
      }
    });
    double total = 0;
    for (const double sum : sums) total += sum;
    return total;
  }

 private:
  // Memory of one thread: z, t, g, and what the loss keeps of a row.
  std::unique_ptr<double[]> room() const {
    const size_t lines = 3 + static_cast<size_t>(std::max(Loss::value_room, Loss::gradient_room));
    return std::unique_ptr<double[]>(new double[lines * static_cast<size_t>(classes_) * (tiled_ ? W : 1) + 64]);
  }

  // Lines of the room as numbers of T.
  T* numbers(double* line) const { return reinterpret_cast<T*>(line); }

  // Position of class 0 of an example, and the example's number.
  int64_t start(int64_t outer, int64_t example) const {
    return job_.inner > 1 ? outer * job_.classes * job_.inner + example : example * job_.classes;
  }
  int64_t number(int64_t outer, int64_t example) const {
    return job_.inner > 1 ? outer * job_.inner + example : example;
  }

  double row_weight(const T* t, int64_t index) const {
    if (!weight_) return 1;
    if (!t) return static_cast<double>(weight_[index]);
    double total = 0;
    for (int c = 0; c < classes_; ++c) total += static_cast<double>(weight_[c] * t[c]);
    return total;
  }

  T scale_of(int64_t example, double weight) const {
    T upstream = 1;
    if (job_.upstream.data) read(job_.upstream, example, 1, &upstream);
    return static_cast<T>(job_.scale * weight) * upstream;
  }

  double keep(int64_t example, double value) const {
    const T rounded = static_cast<T>(value);
    if (job_.each) write(&rounded, 1, job_.each, job_.each_dtype, example);
    return value;
  }

  // --- one row at a time -------------------------------------------------------------------------

  const T* line(const Array& from, int64_t at, T* room) const {
    if (!from.data) return nullptr;
    if (job_.inner == 1) return view(from, at, classes_, room);
    read(from, at, classes_, room, job_.inner);
    return room;
  }

  double rows(int64_t outer, int64_t first, int64_t size, double* memory) const {
    T *z = numbers(memory), *t = numbers(memory + classes_), *g = numbers(memory + 2 * classes_);
    double* room = memory + 3 * classes_;
    double sum = 0;
    if (!Loss::whole_rows && job_.index && !of_value_ && job_.inner == 1) {
      const int64_t bytes = size_of(job_.gradient_dtype) * job_.classes;
      std::memset(static_cast<char*>(job_.gradient) + first * bytes, 0, static_cast<size_t>(size * bytes));
    }
    for (int64_t example = first; example < first + size; ++example) {
      const int64_t at = start(outer, example), n = number(outer, example);
      const int64_t index = job_.index ? job_.index[n] : 0;
      const bool ignored = job_.index && index == job_.ignored;
      auto* saved = job_.saved ? static_cast<Statistics<T>*>(job_.saved) + n : nullptr;
      if (of_value_ && ignored) {
        keep(n, 0);
        continue;
      }
      if constexpr (!Loss::whole_rows) {
        if (job_.index) {
          sum += single(at, n, index, ignored, z, g, room);
          continue;
        }
      }
      const Row<T> row{ignored ? z : line(job_.z, at, z), line(job_.t, at, t), w_, classes_,
                       static_cast<int>(index), nullptr};
      const double weight = ignored ? 0 : row_weight(row.t, index);
      if (of_value_) {
        sum += keep(n, weight * static_cast<double>(loss_.value_row(row, saved, room)));
        continue;
      }
      const bool direct = job_.inner == 1;
      T* to = direct ? place(job_.gradient, job_.gradient_dtype, at, g) : g;
      if (ignored) std::fill(to, to + classes_, T(0));
      else loss_.gradient_row(row, saved, room, scale_of(n, weight), to);
      if (to == g) write(g, classes_, job_.gradient, job_.gradient_dtype, at, job_.inner);
    }
    return sum;
  }

  // A row of which only one class counts: the gradient of all others is 0.
  double single(int64_t at, int64_t n, int64_t index, bool ignored, T* z, T* g, double* room) const {
    const int64_t from = at + index * job_.inner;
    const Row<T> row{z, nullptr, w_, classes_, static_cast<int>(index), nullptr};
    if (!of_value_ && job_.inner > 1)
      write(std::vector<T>(job_.classes).data(), classes_, job_.gradient, job_.gradient_dtype, at, job_.inner);
    if (ignored) return 0;
    // A logit that nobody reads is memory that need not be waited for.
    if (of_value_ || Loss::gradient_reads_logits) read(job_.z, from, 1, z + index);
    const double weight = row_weight(nullptr, index);
    if (of_value_) return keep(n, weight * static_cast<double>(loss_.value_row(row, nullptr, room)));
    loss_.gradient_row(row, nullptr, room, scale_of(n, weight), g);
    write(g + index, 1, job_.gradient, job_.gradient_dtype, from);
    return 0;
  }

  // --- W rows beside each other ------------------------------------------------------------------

  void read_tile(const Array& from, int64_t outer, int64_t example, int size, T* __restrict to, T* line) const {
    const int64_t at = start(outer, example);
    if (job_.inner > 1) {
      for (int c = 0; c < classes_; ++c) read(from, at + c * job_.inner, size, to + c * W);
      return;
    }
    const T* z = view(from, at, size * job_.classes, line);
    for (int i = 0; i < size; ++i)
      for (int c = 0; c < classes_; ++c) to[c * W + i] = z[i * classes_ + c];
  }

  void write_tile(const T* __restrict g, int64_t outer, int64_t example, int size, T* line) const {
    const int64_t at = start(outer, example);
    if (job_.inner > 1) {
      for (int c = 0; c < classes_; ++c)
        write(g + c * W, size, job_.gradient, job_.gradient_dtype, at + c * job_.inner);
      return;
    }
    T* to = place(job_.gradient, job_.gradient_dtype, at, line);
    for (int i = 0; i < size; ++i)
      for (int c = 0; c < classes_; ++c) to[i * classes_ + c] = g[c * W + i];
    if (to == line) write(line, size * job_.classes, job_.gradient, job_.gradient_dtype, at);
  }

  double tiles(int64_t outer, int64_t first, int64_t size, double* memory) const {
    const int64_t line = job_.classes * W;
    T *z = numbers(memory), *t = numbers(memory + line), *g = numbers(memory + 2 * line);
    double* room = memory + 3 * line;
    double sum = 0;
    for (int64_t at = first; at < first + size; at += W) {
      const int rows = static_cast<int>(std::min<int64_t>(W, first + size - at));
      if (rows < W) {
        std::fill(z, z + line, T(0));
        std::fill(t, t + line, T(0));
      }
      read_tile(job_.z, outer, at, rows, z, g);
      if (job_.t.data) read_tile(job_.t, outer, at, rows, t, g);
      int indices[W] = {};
      double weight[W] = {};
      weights(outer, at, rows, t, indices, weight);
      const Row<T> row{z, job_.t.data ? t : nullptr, w_, classes_, 0, indices};
      T result[W];
      if (of_value_) {
        loss_.value_tile(row, room, result);
        for (int i = 0; i < rows; ++i) {
          const bool ignored = job_.index && job_.index[number(outer, at + i)] == job_.ignored;
          sum += keep(number(outer, at + i), ignored ? 0 : weight[i] * static_cast<double>(result[i]));
        }
        continue;
      }
      for (int i = 0; i < W; ++i) result[i] = i < rows ? scale_of(number(outer, at + i), weight[i]) : T(0);
      loss_.gradient_tile(row, room, result, g);
      clear_ignored(outer, at, rows, g);
      write_tile(g, outer, at, rows, z);
    }
    return sum;
  }

  void weights(int64_t outer, int64_t at, int rows, const T* t, int* indices, double* weight) const {
    for (int i = 0; i < rows; ++i) {
      weight[i] = 1;
      if (job_.index) {
        const int64_t index = job_.index[number(outer, at + i)];
        indices[i] = index == job_.ignored ? 0 : static_cast<int>(index);
        if (weight_) weight[i] = static_cast<double>(weight_[indices[i]]);
      } else if (weight_) {
        weight[i] = 0;
        for (int c = 0; c < classes_; ++c) weight[i] += static_cast<double>(weight_[c] * t[c * W + i]);
      }
    }
  }

  void clear_ignored(int64_t outer, int64_t at, int rows, T* g) const {
    if (!job_.index) return;
    for (int i = 0; i < rows; ++i)
      if (job_.index[number(outer, at + i)] == job_.ignored)
        for (int c = 0; c < classes_; ++c) g[c * W + i] = 0;
  }

  const Job& job_;
  const Loss loss_;
  const int classes_;
  const bool of_value_, tiled_;
  int64_t length_, part_, parts_, count_;
  std::vector<T> w_memory_, weight_memory_;
  const T *w_, *weight_;
};

template <class T, class Loss>
double values(const Job& job) {
  return Rows<T, Loss>(job, true).run();
}

template <class T, class Loss>
void gradients(const Job& job) {
  Rows<T, Loss>(job, false).run();
}

}  // namespace losses
