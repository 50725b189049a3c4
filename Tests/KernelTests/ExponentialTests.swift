// The exponential of every instruction set against Foundation's in double.
import CSupport
import Foundation
import Testing

@testable import KVSieveCore

@Suite struct ExponentialTests {
    @Test(arguments: kernelTables.indices) func relativeErrorIsAtMostTwoInTenMillion(_ index: Int) {
        let table = kernelTables[index]
        let lanes = Int(table.lanes)
        let count = 400_000 / lanes
        var tile = [Float](repeating: 0, count: count * lanes)
        for j in tile.indices { tile[j] = -87 * Float(j) / Float(tile.count) }
        let arguments = tile
        var sums = [Float](repeating: 0, count: lanes)
        table.tile_exponentials(&tile, Int64(count), 1, Int64(lanes), [Float](repeating: 0, count: lanes), &sums)
        var worst = 0.0
        for (x, y) in zip(arguments, tile) {
            let exact = exp(Double(x))
            worst = max(worst, abs(Double(y) - exact) / exact)
        }
        #expect(worst <= 2e-7, "\(String(cString: table.name))")
    }

    /// Over as many columns as a tile has; plain summation of n terms errs by at most n roundings.
    @Test(arguments: kernelTables.indices) func sumsAreThoseOfTheColumns(_ index: Int) {
        let table = kernelTables[index]
        let (lanes, count) = (Int(table.lanes), AttentionTiles.tile)
        var tile = (0..<count * lanes).map { -20 * Float($0 % 977) / 977 }
        var sums = [Float](repeating: 0, count: lanes)
        table.tile_exponentials(&tile, Int64(count), 1, Int64(lanes), [Float](repeating: 0, count: lanes), &sums)
        for lane in 0..<lanes {
            let exact = stride(from: lane, to: tile.count, by: lanes).reduce(0.0) { $0 + Double(tile[$1]) }
            #expect(abs(Double(sums[lane]) - exact) <= Double(count) * 6e-8 * exact)
        }
    }
}
