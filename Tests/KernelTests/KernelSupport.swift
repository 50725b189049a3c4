// What the kernel tests share: the tables as arguments, seeded numbers, memory that notices what it should not see.
import CSupport
import Foundation
import TestSupport
import Testing

@testable import KVSieveCore

/// One compile of the kernels.
struct Table: @unchecked Sendable, CustomTestStringConvertible {
    let kernels: support_kernels
    var lanes: Int { Int(kernels.lanes) }
    var testDescription: String { String(cString: kernels.name) }

    static let all = kernelTables.map { Table(kernels: $0) }
    /// Every pair that could disagree.
    static let others = Array(all.dropFirst())
    static var narrowest: Table { all[0] }
}

/// What the rows of a test are made of.
enum Numbers: CaseIterable, Sendable {
    case random, ties, zeros, subnormal, huge

    func make(_ count: Int, _ random: inout SplitMix) -> [Float] {
        (0..<count).map { _ in
            switch self {
            case .random: return Float.random(in: -2...2, using: &random)
            case .ties: return Float(random.below(3)) - 1
            case .zeros: return random.below(2) == 0 ? 0 : -0.0
            case .subnormal:
                return Float(bitPattern: UInt32(random.below(0x0080_0000))) * (random.below(2) == 0 ? 1 : -1)
            case .huge: return Float.random(in: -1e18...1e18, using: &random)
            }
        }
    }
}

/// Every length a loop of vectors with a tail can trip over, and some larger.
let lengths = Array(0...67) + [127, 128, 129, 1000]

/// Floats between sentinels, beginning `offset` floats after a vector's boundary.
final class Guarded {
    private static let margin = 32
    private static let sentinel: UInt32 = 0x7fa5_5aa5
    private let memory: UnsafeMutablePointer<Float>
    private let offset: Int
    let count: Int
    var start: UnsafeMutablePointer<Float> { memory + Self.margin + offset }
    var values: [Float] { Array(UnsafeBufferPointer(start: start, count: count)) }

    init(_ count: Int, offset: Int = 0) {
        (self.count, self.offset) = (count, offset)
        let all = count + offset + 2 * Self.margin
        memory = UnsafeMutableRawPointer.allocate(byteCount: all * 4, alignment: 64).bindMemory(
            to: Float.self, capacity: all)
        UnsafeMutableRawPointer(memory).bindMemory(to: UInt32.self, capacity: all).update(
            repeating: Self.sentinel, count: all)
    }

    convenience init(_ values: [Float], offset: Int = 0) {
        self.init(values.count, offset: offset)
        for (j, value) in values.enumerated() { start[j] = value }
    }

    deinit { memory.deallocate() }

    /// Was float j (also one outside) never written?
    func untouched(_ j: Int) -> Bool { start[j].bitPattern == Self.sentinel }

    /// Nothing was written before the first float or after the last.
    var intact: Bool {
        (-Self.margin - offset..<0).allSatisfy(untouched) && (count..<count + Self.margin).allSatisfy(untouched)
    }
}

/// Elements that end where readable memory ends: a read of one more ends the test run. Where they begin varies with their
/// number, so that all alignments of the element occur.
final class AtEnd<Element: BitwiseCopyable> {
    private let memory: UnsafeMutableRawPointer
    private let bytes: Int
    private let start: UnsafeMutablePointer<Element>

    init(_ values: [Element]) {
        let page = 4096
        let size = values.count * MemoryLayout<Element>.stride
        bytes = (size + page - 1) / page * page + page
        guard let mapped = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            mapped != MAP_FAILED
        else { fatalError("no memory for the test") }
        memory = mapped
        mprotect(memory + bytes - page, page, PROT_NONE)
        start = (memory + bytes - page - size).bindMemory(to: Element.self, capacity: max(values.count, 1))
        for (j, value) in values.enumerated() { start[j] = value }
    }

    deinit { munmap(memory, bytes) }

    func read<Result>(_ body: (UnsafePointer<Element>) throws -> Result) rethrows -> Result {
        try withExtendedLifetime(self) { try body(start) }
    }
}

/// Half a unit in the last place of a float, relative.
let rounding = 0x1p-24
/// The spacing of subnormals: the error that no relative bound covers.
let smallest = 0x1p-149

extension Array where Element == Float {
    var bits: [UInt32] { map(\.bitPattern) }
}

/// A subnormal times one, in the processor's current mode: the optimiser may neither compute it nor move it.
@inline(never) @_optimize(none) func subnormalTimes(_ one: Float) -> Float { Float(bitPattern: 0x0000_0400) * one }
