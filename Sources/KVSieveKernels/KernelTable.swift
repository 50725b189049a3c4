// The functions of this compile as a C table. Core/Numerics/Kernels.swift picks one table per process.
import CSupport

#if BFLOAT16
private let instructionSet: StaticString = "avx512bf16"
#elseif SIMD_512
private let instructionSet: StaticString = "avx512"
#elseif SIMD_256
private let instructionSet: StaticString = "avx2"
#elseif arch(arm64)
private let instructionSet: StaticString = "neon"
#else
private let instructionSet: StaticString = "sse2"
#endif

#if BFLOAT16
private let pairColumns: support_pair_columns? = {
    logitColumns($0, Int($1), $2, Int($3), $4, Int($5), Int($6), $8, Int($9), $10, pairs: true, factors: $7)
}
#else
private let pairColumns: support_pair_columns? = nil
#endif

public func kernelTable() -> support_kernels {
    support_kernels(
        name: UnsafeRawPointer(instructionSet.utf8Start).assumingMemoryBound(to: CChar.self),
        lanes: Int32(laneCount), block: Int32(blockVectors),
        widen_f16: { widenHalf($0, $1, Int($2)) },
        widen_bf16: { widenBrain($0, $1, Int($2)) },
        widen_f8_e4m3: { widenFloat8E4M3($0, $1, Int($2)) },
        widen_f8_e5m2: { widenFloat8E5M2($0, $1, Int($2)) },
        widen_q8_0: { widenQ8($0, $1, Int($2)) },
        widen_q4_0: { widenQ4($0, $1, Int($2)) },
        split_q8_0: { splitQ8($0, $1, $2, Int($3)) },
        logit_columns: { logitColumns($0, Int($1), $2, Int($3), $4, Int($5), Int($6), $7, Int($8), $9) },
        pair_columns: pairColumns, byte_columns: nil,
        column_maxima: { columnMaxima($0, Int($1), Int($2), Int($3), $4) },
        tile_exponentials: { tileExponentials($0, Int($1), Int($2), Int($3), $4, $5) },
        weighted_columns: { weightedColumns($0, Int($1), Int($2), Int($3), $4, $5) },
        row_dots: { rowDots($0, Int($1), $2, Int($3), Int($4), Int($5), $6, Int($7)) },
        row_maximum: { rowMaximum($0, Int($1)) },
        row_exponentials: { rowExponentials($0, Int($1), $2, $3, $4) },
        row_minimum: { rowMinimum($0, Int($1)) },
        copy_minimum: { rowMinimum($0, Int($1), copiedTo: $2) },
        row_logarithms: { rowLogarithms($0, Int($1), $2) },
        count_numbers: { Int64(countNumbers($0, Int($1), $2)) },
        collect_numbers: { Int64(collectNumbers($0, Int($1), $2, $3, Int($4), $5, $6)) },
        candidate_minima: { candidateMinima($0, $1, Int($2), $3) },
        roll_row: { rollRow($0, $1, Int($2), $3, $4, $5, $6) },
        run_row: { runRow($0, $1, Int($2), $3, $4) },
        weighted_rows: { weightedRows($0, Int($1), Int($2), $3, Int($4), $5) },
        add_scaled: { addScaled($0, $1, Int($2), $3) },
        pool_mean: { poolMean($0, Int($1), Int($2), $3) },
        pool_max: { poolMax($0, Int($1), Int($2), $3) },
        squared_norm: { squaredNorm($0, Int($1)) })
}
