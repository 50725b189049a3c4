// collect_numbers and count_numbers against a filter.
import CSupport
import TestSupport
import Testing

@testable import KVSieveCore

@Suite struct CollectTests {
    @Test(arguments: Table.all, Numbers.allCases) func whatIsNotBelowTheBoundIsCopiedInOrder(
        _ table: Table, _ numbers: Numbers
    ) {
        var random = SplitMix(73)
        for length in lengths + [1023, 1024, 1040, 2079] {
            let row = numbers.make(length, &random)
            func some() -> Float { row.isEmpty ? 0 : row[random.below(length)] }
            for bound in [-Float.infinity, some(), 0, .infinity] {
                for end in [Float.nan, .infinity, 0, some()] {
                    expect(table, row, bound, end, "length \(length), \(bound) ..< \(end), \(numbers), seed 73")
                }
            }
        }
    }

    private func expect(_ table: Table, _ row: [Float], _ bound: Float, _ end: Float, _ said: Comment) {
        let length = Int64(row.count)
        // Room for a vector more than there are, whatever the lanes.
        let expected = row.indices.filter { row[$0] >= bound && !(row[$0] >= end) }
        let room = expected.count + Int(table.kernels.lanes)
        let values = Guarded(room, offset: row.count % 4)
        var indices = [Int32](repeating: -1, count: room + 1)
        let found = AtEnd(row).read {
            table.kernels.collect_numbers($0, length, bound, end, Int64(room), values.start, &indices)
        }
        #expect(Int(found) == expected.count, said)
        #expect(values.values.prefix(expected.count).map(\.bitPattern) == expected.map { row[$0].bitPattern }, said)
        #expect(indices.prefix(expected.count).elementsEqual(expected.map { Int32($0) }), said)
        #expect(values.intact && indices[room] == -1, said)
        if end.isNaN {
            let count = AtEnd(row).read { table.kernels.count_numbers($0, length, bound) }
            #expect(Int(count) == expected.count, said)
        }
    }

    /// "values may be row".
    @Test(arguments: Table.all) func aRowMayBeCollectedInPlace(_ table: Table) {
        var random = SplitMix(74)
        for length in [5, 64, 67, 1000, 2079] {
            let source = Numbers.random.make(length, &random)
            for bound in [Float(-2), -1.9, 0, 1.9] {
                let expected = source.filter { $0 >= bound }
                // Behind the row there is the room that a vector needs.
                let row = Guarded(source + [Float](repeating: 0, count: table.lanes))
                var indices = [Int32](repeating: -1, count: row.count)
                let found = table.kernels.collect_numbers(
                    row.start, Int64(length), bound, .nan, Int64(row.count), row.start, &indices)
                #expect(Int(found) == expected.count && row.intact, "length \(length), bound \(bound), seed 74")
                #expect(row.values.prefix(expected.count).elementsEqual(expected), "length \(length), seed 74")
            }
        }
    }

    /// It stops before it writes beyond the room.
    @Test(arguments: Table.all) func withoutRoomItSaysSo(_ table: Table) {
        let row = [Float](repeating: 1, count: 100)
        for room in 0..<100 {
            let values = Guarded(room)
            var indices = [Int32](repeating: -1, count: room + 1)
            let found = AtEnd(row).read {
                table.kernels.collect_numbers($0, 100, 1, .nan, Int64(room), values.start, &indices)
            }
            #expect(found == -1 && values.intact && indices[room] == -1, "room \(room)")
        }
    }
}
