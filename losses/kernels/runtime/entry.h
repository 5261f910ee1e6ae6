// The functions of a compiled kernel. Included behind `struct Loss` and `using T`.
extern "C" double value(const losses::Job* job) { return losses::values<losses::T, losses::Loss>(*job); }
extern "C" void gradient(const losses::Job* job) { losses::gradients<losses::T, losses::Loss>(*job); }
