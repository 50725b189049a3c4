// collect_numbers against a filter.
import CSupport
import TestSupport
import Testing

@testable import KVSieveCore

@Suite struct CollectTests {
    @Test(arguments: Table.all, Numbers.allCases) func whatIsNotBelowTheBoundIsCopiedInOrder(
        _ table: Table, _ numbers: Numbers
    ) {
        var random = SplitMix(73)
        for length in lengths {
            let row = numbers.make(length, &random)
            for bound in [-Float.infinity, row.isEmpty ? 0 : row[random.below(length)], 0, .infinity] {
                // Room for a vector more than there are, whatever the lanes.
                let expected = row.indices.filter { row[$0] >= bound }
                let room = expected.count + Int(table.kernels.lanes)
                let values = Guarded(room, offset: length % 4)
                var indices = [Int32](repeating: -1, count: room + 1)
                let found = AtEnd(row).read {
                    table.kernels.collect_numbers($0, Int64(length), bound, Int64(room), values.start, &indices)
                }
                let said: Comment = "length \(length), bound \(bound), \(numbers), seed 73"
                #expect(Int(found) == expected.count, said)
                #expect(values.values.prefix(expected.count).elementsEqual(expected.map { row[$0] }), said)
                #expect(indices.prefix(expected.count).elementsEqual(expected.map { Int32($0) }), said)
                #expect(values.intact && indices[room] == -1, said)
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
                table.kernels.collect_numbers($0, 100, 1, Int64(room), values.start, &indices)
            }
            #expect(found == -1 && values.intact && indices[room] == -1, "room \(room)")
        }
    }
}
