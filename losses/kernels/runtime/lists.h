// Losses of rows with a list of right classes: the sum over the pairs of a listed class l and an
// unlisted class c of value(z_c, z_l), over the number of classes.
#pragma once

#include "memory.h"
#include "softmax.h"

namespace losses {

// Numbers per thread, at least.
constexpr int64_t GRAIN = 16384;
// Up to so many classes W rows are computed beside each other: then most pairs of classes are pairs of
// a listed and an unlisted one in some of the rows.
constexpr int64_t BESIDE = 32;

template <class T, class Loss>
struct Lists {
  const Job& job;
  const Loss loss;
  const int classes;

  static constexpr int W = LANES<T>;

  // Memory of one thread: the row, its gradient, and 1 for every class that is not listed.
  struct Room {
    std::vector<T> z, g, unlisted;
  };

  // W rows beside each other: z[c * W + i], and how often row i lists the class c.
  struct Tile {
    alignas(64) T z[BESIDE * W], g[BESIDE * W], listed[BESIDE * W];
  };

  void read_tile(int64_t row, int rows, Room& room, Tile& tile) const {
    const T* z = view(job.z, row * classes, rows * classes, room.z.data());
    std::fill(tile.z, tile.z + classes * W, T(0));
    std::fill(tile.listed, tile.listed + classes * W, T(0));
    for (int i = 0; i < rows; ++i) {
      for (int c = 0; c < classes; ++c) tile.z[c * W + i] = z[i * classes + c];
      const int64_t* list = job.index + (row + i) * classes;
      for (int k = 0; k < classes && list[k] >= 0; ++k) tile.listed[list[k] * W + i] += 1;
    }
  }

  void values_of_tile(const Tile& tile, double* __restrict total) const {
    const Loss form = loss;
    for (int i = 0; i < W; ++i) total[i] = 0;
    for (int l = 0; l < classes; ++l) {
      T sum[W] = {};
      const T *__restrict of_l = tile.z + l * W, *__restrict times = tile.listed + l * W;
      for (int c = 0; c < classes; ++c) {
        const T *__restrict z = tile.z + c * W, *__restrict listed = tile.listed + c * W;
#pragma omp simd
        for (int i = 0; i < W; ++i)
          sum[i] += select<T>((times[i] != 0) & (listed[i] == 0), times[i] * form.value(z[i], of_l[i]), T(0));
      }
      for (int i = 0; i < W; ++i) total[i] += static_cast<double>(sum[i]);
    }
    for (int i = 0; i < W; ++i) total[i] /= classes;
  }

  void gradients_of_tile(Tile& tile, const T* __restrict scale) const {
    const Loss form = loss;
    std::fill(tile.g, tile.g + classes * W, T(0));
    for (int l = 0; l < classes; ++l) {
      T sum[W] = {};
      const T *__restrict of_l = tile.z + l * W, *__restrict times = tile.listed + l * W;
      for (int c = 0; c < classes; ++c) {
        const T *__restrict z = tile.z + c * W, *__restrict listed = tile.listed + c * W;
        T* __restrict g = tile.g + c * W;
#pragma omp simd
        for (int i = 0; i < W; ++i) {
          const T slope =
              select<T>((times[i] != 0) & (listed[i] == 0), times[i] * form.gradient(z[i], of_l[i]), T(0));
          sum[i] += slope;
          g[i] += slope;
        }
      }
      for (int i = 0; i < W; ++i) tile.g[l * W + i] -= sum[i];
    }
    for (int c = 0; c < classes; ++c)
      for (int i = 0; i < W; ++i) tile.g[c * W + i] *= scale[i];
  }

  // Calls f(l, unlisted) for the classes of a row's list, which ends at the first negative number.
  template <class F>
  void for_each_listed(int64_t row, Room& room, const F& f) const {
    const int64_t* list = job.index + row * classes;
    const int64_t* end = std::find_if(list, list + classes, [](int64_t y) { return y < 0; });
    std::fill(room.unlisted.begin(), room.unlisted.end(), T(1));
    for (const int64_t* l = list; l < end; ++l) room.unlisted[static_cast<size_t>(*l)] = 0;
    for (const int64_t* l = list; l < end; ++l) f(*l);
  }

  double value(int64_t row, const T* z, Room& room) const {
    const T* unlisted = room.unlisted.data();
    double total = 0;
    for_each_listed(row, room, [&](int64_t l) {
      const Loss form = loss;
      const T of_listed = z[l];
      T sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int c = 0; c < classes; ++c) sum += select<T>(unlisted[c] != 0, form.value(z[c], of_listed), T(0));
      total += static_cast<double>(sum);
    });
    return total / classes;
  }

  void gradient(int64_t row, const T* z, T scale, T* g, Room& room) const {
    const T* unlisted = room.unlisted.data();
    std::fill(g, g + classes, T(0));
    for_each_listed(row, room, [&](int64_t l) {
      const Loss form = loss;
      const T of_listed = z[l];
      T sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int c = 0; c < classes; ++c) {
        const T slope = select<T>(unlisted[c] != 0, form.gradient(z[c], of_listed), T(0));
        sum += slope;
        g[c] += slope;
      }
      g[l] -= sum;
    });
    const T factor = scale / static_cast<T>(classes);
#pragma omp simd
    for (int c = 0; c < classes; ++c) g[c] *= factor;
  }

  T scale_of(int64_t row) const {
    T upstream = 1;
    if (job.upstream.data) read(job.upstream, row, 1, &upstream);
    return static_cast<T>(job.scale) * upstream;
  }

  // Calls f(row, how many rows, room) for all rows, up to `size` of them at a time.
  template <class F>
  void for_each(int64_t size, const F& f) const {
    const int64_t grain = std::max<int64_t>(1, GRAIN / (size * job.classes * job.classes));
    run_parallel(job, (job.outer + size - 1) / size, grain, [&](int64_t begin, int64_t end) {
      const auto lines = [&] { return std::vector<T>(static_cast<size_t>(size * classes)); };
      Room room{lines(), lines(), lines()};
      for (int64_t k = begin; k < end; ++k)
        f(k * size, static_cast<int>(std::min(size, job.outer - k * size)), room);
    });
  }

  void values(double* found) const {
    if (classes <= BESIDE)
      return for_each(W, [&](int64_t row, int rows, Room& room) {
        Tile tile;
        double total[W];
        read_tile(row, rows, room, tile);
        values_of_tile(tile, total);
        std::copy(total, total + rows, found + row);
      });
    for_each(1, [&](int64_t row, int, Room& room) {
      found[row] = value(row, view(job.z, row * classes, classes, room.z.data()), room);
    });
  }

  void gradients() const {
    for_each(classes <= BESIDE ? W : 1, [&](int64_t row, int rows, Room& room) {
      const int64_t at = row * classes;
      T* g = place(job.gradient, job.gradient_dtype, at, room.g.data());
      if (classes <= BESIDE) {
        Tile tile;
        T scale[W] = {};
        for (int i = 0; i < rows; ++i) scale[i] = scale_of(row + i) / static_cast<T>(classes);
        read_tile(row, rows, room, tile);
        gradients_of_tile(tile, scale);
        for (int i = 0; i < rows; ++i)
          for (int c = 0; c < classes; ++c) g[i * classes + c] = tile.g[c * W + i];
      } else {
        gradient(row, view(job.z, at, classes, room.z.data()), scale_of(row), g, room);
      }
      if (g == room.g.data()) write(g, rows * classes, job.gradient, job.gradient_dtype, at);
    });
  }
};

template <class T, class Loss>
double values(const Job& job) {
  const Lists<T, Loss> lists{job, Loss(job.constants), static_cast<int>(job.classes)};
  std::vector<double> found(static_cast<size_t>(job.outer));
  lists.values(found.data());
  double total = 0;
  for (int64_t row = 0; row < job.outer; ++row) {
    const T rounded = static_cast<T>(found[static_cast<size_t>(row)]);
    if (job.each) write(&rounded, 1, job.each, job.each_dtype, row);
    total += found[static_cast<size_t>(row)];
  }
  return total;
}

template <class T, class Loss>
void gradients(const Job& job) {
  Lists<T, Loss>{job, Loss(job.constants), static_cast<int>(job.classes)}.gradients();
}

}  // namespace losses
