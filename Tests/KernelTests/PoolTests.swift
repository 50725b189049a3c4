// Pooling against double loops: borders, kernels longer than the row, and every table bit for bit as the others.
import CSupport
import Foundation
import TestSupport
import Testing

@testable import KVSieveCore

private let kernels = Array(stride(from: 1, through: 63, by: 2))

private func pool(_ table: Table, max: Bool, _ source: [Float], _ kernel: Int, offset: Int = 0) -> Guarded {
    let row = Guarded(source, offset: offset)
    let scratch = Guarded(SUPPORT_POOL_BLOCK + kernel)
    let pool = max ? table.kernels.pool_max : table.kernels.pool_mean
    pool(row.start, Int64(source.count), Int64(kernel), scratch.start)
    #expect(scratch.intact)
    return row
}

private func window(_ source: [Float], _ j: Int, _ kernel: Int) -> ArraySlice<Float> {
    source[max(0, j - kernel / 2)..<min(source.count, j + kernel / 2 + 1)]
}

// Not in the arguments of a test, where a closure crashes the compiler of Swift 6.0.
private let numbersNotZero = Numbers.allCases.filter { $0 != .zeros }

@Suite struct PoolTests {
    @Test(arguments: Table.all, Numbers.allCases) func meanDividesByTheKernelAtTheBordersToo(
        _ table: Table, _ numbers: Numbers
    ) {
        var random = SplitMix(21)
        for (index, length) in lengths.enumerated() {
            for kernel in kernels {
                let source = numbers.make(length, &random)
                let target = pool(table, max: false, source, kernel, offset: index % 4)
                #expect(target.intact, "length \(length) kernel \(kernel)")
                let bad = source.indices.filter { j in
                    let terms = window(source, j, kernel).map(Double.init)
                    let size = terms.reduce(0) { $0 + abs($1) }
                    let error = abs(Double(target.start[j]) - terms.reduce(0, +) / Double(kernel))
                    return !(error <= Double(kernel + 1) * rounding * size / Double(kernel) + smallest)
                }
                #expect(bad == [], "length \(length) kernel \(kernel) \(numbers) seed 21")
            }
        }
    }

    @Test(arguments: Table.all, Numbers.allCases) func maxIsOfWhatLiesInside(_ table: Table, _ numbers: Numbers) {
        var random = SplitMix(22)
        for (index, length) in lengths.enumerated() {
            for kernel in kernels {
                let source = numbers.make(length, &random)
                let target = pool(table, max: true, source, kernel, offset: index % 4)
                #expect(target.intact, "length \(length) kernel \(kernel)")
                #expect(
                    target.values == source.indices.map { window(source, $0, kernel).max() },
                    "length \(length) kernel \(kernel) \(numbers) seed 22")
            }
        }
    }

    /// Rows are pooled a block of 1,024 after another: what lies before one is taken as it was.
    @Test(arguments: Table.all, [1024, 1025, 1054, 1056, 2079]) func blocksLeaveNoSeam(_ table: Table, _ length: Int) {
        var random = SplitMix(25)
        for kernel in [3, 7, 63] {
            let source = random.floats(length)
            let means = pool(table, max: false, source, kernel).values
            let wrong = source.indices.filter { j in
                let terms = window(source, j, kernel).map(Double.init)
                return abs(Double(means[j]) - terms.reduce(0, +) / Double(kernel)) > 1e-5
            }
            #expect(wrong == [], "kernel \(kernel) seed 25")
            let greatest = source.indices.map { window(source, $0, kernel).max() }
            #expect(pool(table, max: true, source, kernel).values == greatest, "kernel \(kernel) seed 25")
        }
    }

    /// Seven are added in the order of their positions, at every place: equal windows give equal means.
    @Test(arguments: Table.all) func sevenAreAddedInOneOrder(_ table: Table) {
        var random = SplitMix(26)
        for length in Array(0...67) + [1000, 1024, 1030, 2079] {
            let source = random.floats(length)
            let row = [0, 0, 0] + source + [0, 0, 0]
            let expected = source.indices.map { j in
                row[(j + 1)..<(j + 7)].reduce(row[j], +) * (1 / 7)
            }
            let means = pool(table, max: false, source, 7, offset: length % 4).values
            #expect(means.bits == expected.bits, "length \(length) seed 26")
        }
    }

    /// All negative, so that a zero from outside the row would win.
    @Test(arguments: Table.all) func maxKnowsNoZerosOutside(_ table: Table) {
        let source = (0..<40).map { -1 - Float($0) }
        #expect(pool(table, max: true, source, 63).values == source.indices.map { source[max(0, $0 - 31)] })
    }

    @Test(arguments: Table.all) func kernelOneIsTheRowItself(_ table: Table) {
        var random = SplitMix(23)
        let source = random.floats(67)
        #expect(pool(table, max: false, source, 1).values == source)
        #expect(pool(table, max: true, source, 1).values == source)
    }

    /// "max ignores a NaN", at every place in the kernel.
    @Test(arguments: Table.all) func maxPassesOverNaNAtEveryPlace(_ table: Table) {
        let plain = (0..<67).map { Float(($0 * 29) % 67) }
        let wrong = plain.indices.filter { place in
            var source = plain
            source[place] = .nan
            var lowest = plain
            lowest[place] = -.infinity
            return pool(table, max: true, source, 7).values != pool(table, max: true, lowest, 7).values
        }
        #expect(wrong == [], "places of the NaN")
    }

    @Test(arguments: Table.all) func meanHandsNaNAndInfinityOn(_ table: Table) {
        for bad in [Float.nan, .infinity, -.infinity] {
            for place in 0..<67 {
                var source = [Float](repeating: 1, count: 67)
                source[place] = bad
                let values = pool(table, max: false, source, 7).values
                #expect(
                    values.indices.allSatisfy { values[$0].isFinite == (abs($0 - place) > 3) }, "\(bad) at \(place)")
            }
        }
    }

    @Test(arguments: Table.others, numbersNotZero) func tablesAgreeBitForBit(
        _ table: Table, _ numbers: Numbers
    ) {
        #expect(differences(table, numbers).prefix(3) == [])
    }

    /// Which zero a sum of zeros is must not depend on how many floats a vector has.
    @Test(arguments: Table.others) func tablesAgreeOnTheSignOfZero(_ table: Table) {
        #expect(differences(table, .zeros).prefix(3) == [])
    }

    private func differences(_ table: Table, _ numbers: Numbers) -> [String] {
        var random = SplitMix(24)
        var found: [String] = []
        for length in lengths {
            for kernel in kernels {
                let source = numbers.make(length, &random)
                for max in [false, true] {
                    let mine = pool(table, max: max, source, kernel).values.bits
                    let narrow = pool(.narrowest, max: max, source, kernel).values.bits
                    if mine != narrow {
                        found.append("\(max ? "max" : "mean") length \(length) kernel \(kernel) seed 24")
                    }
                }
            }
        }
        return found
    }
}
