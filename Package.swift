// swift-tools-version:6.0
// The rooms and the arrows: Sources/README.md says what belongs where.
import PackageDescription

#if arch(arm64)
let architecture = "aarch64"
#else
let architecture = "x86_64"
#endif
let root = Context.packageDirectory
/// A BLAS of our own inside the library: no thread is started, no setting of the host's BLAS is touched.
let openBLAS =
    Context.environment["KVSIEVE_OPENBLAS"]
    ?? "/usr/lib/\(architecture)-linux-gnu/openblas-pthread/libopenblas.a"

/// Kernels are optimised in debug builds too: without optimisation Swift's SIMD is 200 times slower.
func kernels(_ name: String, _ defines: [String] = [], _ flags: [String] = []) -> Target {
    .target(
        name: name, dependencies: ["CSupport"], exclude: ["LOG.md", "README.md"],
        swiftSettings: defines.map { .define($0) } + [.unsafeFlags(["-O"] + flags.flatMap { ["-Xcc", $0] })])
}

#if arch(x86_64)
// The same folder compiled again for AVX2+FMA+F16C, for AVX-512, and for AVX-512 that multiplies bfloat16; which one runs is
// decided by cpuid.
let wideKernels: [Target] = [
    kernels("KVSieveKernelsAVX2", ["SIMD_256"], ["-march=x86-64-v3"]),
    kernels("KVSieveKernelsAVX512", ["SIMD_512"], ["-march=x86-64-v4"]),
    kernels("KVSieveKernelsAVX512BF16", ["SIMD_512", "BFLOAT16"], ["-march=x86-64-v4", "-mavx512bf16"]),
]
#else
let wideKernels: [Target] = []
#endif
/// Of OpenBLAS one kernel, not those of twenty processors: Sources/COpenBLAS/one-kernel.sh. The bench compares with the system's.
#if arch(x86_64)
let oneKernel: [LinkerSetting] = [.unsafeFlags(["@\(root)/Sources/COpenBLAS/one-kernel.args"])]
#else
let oneKernel: [LinkerSetting] = []
#endif
func wrapped(_ names: String...) -> [String] { names.flatMap { ["-Xlinker", "--wrap=\($0)"] } }
let kernelDependencies: [Target.Dependency] =
    ["KVSieveKernels"] + wideKernels.map { .target(name: $0.name) }

/// C that overruns an array ends there, before it returns into what it has overwritten.
let hardened: [CSetting] = [
    .unsafeFlags(
        ["-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"], .when(configuration: .release))
]
/// Loops over millions of numbers are tested too; a debug build keeps every check at -O.
let optimised: [SwiftSetting] = [.unsafeFlags(["-O"], .when(configuration: .debug))]

let package = Package(
    name: "kvsieve",
    products: [.library(name: "kvsieve", type: .dynamic, targets: ["KVSieve"])],
    targets: [
        // The C header but for the registry's enums: its types are imported by Swift, the rest is the manual.
        .target(name: "CKVSieve"),
        // cblas.h as a module; only Core/Numerics/MatrixProduct.swift imports it.
        .systemLibrary(name: "COpenBLAS"),
        // What Swift cannot say: thread-local message, cpuid, a thread pool, the C form of the kernel table, the product of
        // bytes, numbers of a vector moved together, loads that overlap.
        .target(name: "CSupport", cSettings: hardened + [.unsafeFlags(["-O2"], .when(configuration: .debug))]),
        // Loops over floats.
        kernels("KVSieveKernels"),
    ] + wideKernels + [
        // Views, scratch, statistics, selection, compaction, the plan. Knows no paper and no C struct of ours.
        .target(
            name: "KVSieveCore", dependencies: ["CSupport", "COpenBLAS"] + kernelDependencies,
            swiftSettings: optimised,
            linkerSettings: [
                .unsafeFlags(
                    wrapped(
                        "getenv", "openblas_num_threads_env", "openblas_read_env", "blas_memory_alloc",
                        "blas_memory_free") + [openBLAS])
            ]),
        // One paper a file.
        .target(name: "KVSieveMethods", dependencies: ["KVSieveCore"], exclude: ["README.md"]),
        // Compares kernels with double, and what each method keeps with a stored answer.
        .target(name: "KVSieveSelfCheck", dependencies: ["CSupport", "KVSieveCore", "KVSieveMethods"]),
        // The C functions: checks what a caller passed, turns errors into statuses.
        .target(
            name: "KVSieveABI",
            dependencies: ["CKVSieve", "CSupport", "KVSieveCore", "KVSieveMethods", "KVSieveSelfCheck"]),
        // Link only: the flags of the shared library. Tests depend on KVSieveABI, never on this. The linker is the toolchain's own:
        // gold, its default, leaves names of Swift in the table that programs link by, and code in one segment with tables.
        .target(
            name: "KVSieve", dependencies: ["KVSieveABI", "CSupport"], cSettings: hardened,
            linkerSettings: [
                .unsafeFlags([
                    "-static-stdlib", "-use-ld=lld", "-Xlinker", "--version-script=\(root)/Sources/KVSieve/exports.map",
                    "-Xlinker", "-soname=libkvsieve.so.0", "-Xlinker", "-z", "-Xlinker", "nodelete",
                    "-Xlinker", "-z", "-Xlinker", "now", "-Xlinker", "-z", "-Xlinker", "separate-code",
                    "-Xlinker", "--script=\(root)/Sources/KVSieve/sections.lds",
                    "-Xlinker", "--wrap=_ZN5swift7runtime11environment10initializeEPv",
                ]),
                // What the Swift runtime asks for memory by: allocators.c.
                .unsafeFlags(
                    wrapped(
                        "malloc", "calloc", "realloc", "free", "posix_memalign", "aligned_alloc", "malloc_usable_size",
                        "_Znwm", "_ZnwmSt11align_val_t", "_ZdlPvm", "_ZdlPvmSt11align_val_t")),
                .unsafeFlags(["-Xlinker", "-s"], .when(configuration: .release)),
            ] + oneKernel),
        // Writes include/kvsieve.h from its template and the registry; compares it with the compiler's declarations.
        .target(name: "HeaderComposer"),
        .executableTarget(name: "kvsieve-header", dependencies: ["HeaderComposer", "KVSieveCore", "KVSieveMethods"]),
        // Times the library beside its bare products and memcpy: make bench.
        .executableTarget(
            name: "kvsieve-bench", dependencies: ["CSupport", "KVSieveCore", "KVSieveMethods"],
            linkerSettings: oneKernel),
        // Independent truths: naive references in double, seeded caches, golden files.
        .target(
            name: "TestSupport", dependencies: ["KVSieveCore"], path: "Tests/TestSupport", swiftSettings: optimised),
        .testTarget(
            name: "KernelTests",
            dependencies: ["CSupport", "KVSieveCore", "KVSieveMethods", "KVSieveSelfCheck", "TestSupport"]
                + kernelDependencies,
            path: "Tests/KernelTests", swiftSettings: optimised, linkerSettings: oneKernel),
        .testTarget(
            name: "CoreTests", dependencies: ["KVSieveCore", "KVSieveMethods", "TestSupport"], path: "Tests/CoreTests",
            swiftSettings: optimised),
        .testTarget(
            name: "MethodTests", dependencies: ["KVSieveCore", "KVSieveMethods", "TestSupport"],
            path: "Tests/MethodTests", swiftSettings: optimised),
    ]
)
