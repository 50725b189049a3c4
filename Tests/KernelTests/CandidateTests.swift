// candidate_minima against a loop over each block of 32.
import CSupport
import Foundation
import TestSupport
import Testing

@testable import KVSieveCore

private let block = 32

/// What the kernel should say, in double.
private func least(_ totals: [Float], _ weights: [Float]?) -> [Float] {
    stride(from: 0, to: totals.count, by: block).map { first in
        (first..<min(first + block, totals.count)).reduce(.infinity) { least, j in
            let score = Float(Double(totals[j]) * Double(weights?[j] ?? 1))
            return score < least ? score : least
        }
    }
}

private func minima(_ table: Table, _ totals: [Float], _ weights: [Float]?, offset: Int = 0) -> (
    values: [Float], intact: Bool
) {
    let out = Guarded((totals.count + block - 1) / block, offset: offset)
    AtEnd(totals).read { totals in
        if let weights {
            AtEnd(weights).read { table.kernels.candidate_minima(totals, $0, Int64(weights.count), out.start) }
        }
    }
    if weights == nil {
        AtEnd(totals).read { table.kernels.candidate_minima($0, nil, Int64(totals.count), out.start) }
    }
    return (out.values, out.intact)
}

@Suite struct CandidateTests {
    @Test(arguments: Table.all, Numbers.allCases) func eachBlockHasItsLeast(_ table: Table, _ numbers: Numbers) {
        var random = SplitMix(71)
        for length in lengths {
            let totals = numbers.make(length, &random)
            let weights = random.floats(length, in: 0...4)
            for weights in [nil, weights] {
                let (found, intact) = minima(table, totals, weights, offset: length % 4)
                #expect(found == least(totals, weights), "length \(length), \(numbers), seed 71")
                #expect(intact, "length \(length)")
            }
        }
    }

    /// Protected slots are NaN, also if their weight is 0 or huge.
    @Test(arguments: Table.all) func notANumberDoesNotCount(_ table: Table) {
        var random = SplitMix(72)
        for length in lengths {
            var totals = random.floats(length, in: 0...1)
            let weights = (0..<length).map { _ in [0, 1, Float.greatestFiniteMagnitude, 0.5][random.below(4)] }
            for j in 0..<length where random.below(3) > 0 { totals[j] = .nan }
            for weights in [nil, weights] {
                let (found, intact) = minima(table, totals, weights)
                #expect(found == least(totals, weights) && intact, "length \(length), seed 72")
            }
            let none = minima(table, [Float](repeating: .nan, count: length), weights)
            #expect(none.values.allSatisfy { $0 == .infinity })
        }
    }
}
