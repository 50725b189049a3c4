// The table of loops over floats for this processor, picked once per process.
import CSupport
import KVSieveKernels

#if arch(x86_64)
import KVSieveKernelsAVX2
import KVSieveKernelsAVX512
import KVSieveKernelsAVX512BF16
#endif

/// The tables this processor can run, narrowest first.
public nonisolated(unsafe) let kernelTables: [support_kernels] = {
    #if arch(x86_64)
    let level = support_isa_level()
    var tables = [KVSieveKernels.kernelTable()]
    if level >= 3 { tables.append(KVSieveKernelsAVX2.kernelTable()) }
    if level >= 4 { tables.append(KVSieveKernelsAVX512.kernelTable()) }
    if level >= 5 { tables.append(KVSieveKernelsAVX512BF16.kernelTable()) }
    // No compile of the kernels has the flag for products of bytes, and Swift no name for moving some numbers of a vector
    // together: C has them, for the lanes of a table.
    for index in tables.indices {
        tables[index].byte_columns = support_byte_columns_of(tables[index].lanes)
        if let collect = support_collect_numbers_of(tables[index].lanes) { tables[index].collect_numbers = collect }
    }
    return tables
    #else
    return [kernelTable()]
    #endif
}()

/// The widest, but for bfloat16's where its products are slower than floats'.
public nonisolated(unsafe) let kernels: support_kernels = {
    let tables = kernelTables.filter { $0.pair_columns == nil || support_pairs_are_fast() == 1 }
    return tables.last ?? KVSieveKernels.kernelTable()
}()

/// Does BLAS make the products? With wide vectors logit_columns is as fast for many rows and faster for few
/// (KVSieveKernels/README.md has the numbers); processors with no more than SSE2 have no BLAS.
public let usesBLAS: Bool = {
    guard support_products_are_of_blas() == 1 else { return false }
    support_begin_blas()
    return true
}()

/// "avx512bf16", "avx512", "avx2", "sse4.2", "sse2" or "neon".
public var instructionSet: String {
    let name = String(cString: kernels.name)
    return usesBLAS && name == "sse2" ? "sse4.2" : name
}
