// A collective of threads of this process, which a test may break; and the parts of a model that ranks have.
import Foundation
import KVSieveCore

public final class InProcessGroup: @unchecked Sendable {
    /// What a test does to a call: the rank, the number of the call, what that rank receives. Returns the call's status.
    public typealias Fault = @Sendable (_ rank: Int, _ call: Int, _ received: UnsafeMutableRawBufferPointer) -> Int32

    public let ranks: Int
    public var fault: Fault?
    private let condition = NSCondition()
    private var messages: [[UInt8]]
    private var came = 0
    private var gone = 0
    private var turn = 0
    private var calls: [Int]
    private var isBroken = false
    /// Bytes that each rank has sent.
    public private(set) var bytes: [Int]

    public init(_ ranks: Int) {
        self.ranks = ranks
        messages = Array(repeating: [], count: ranks)
        calls = Array(repeating: 0, count: ranks)
        bytes = Array(repeating: 0, count: ranks)
    }

    /// Calls of each rank so far.
    public var counted: [Int] { calls }

    /// Every rank that waits, or comes later, gets a status that is not 0, as if a process had ended.
    public func interrupt() {
        condition.lock()
        isBroken = true
        condition.broadcast()
        condition.unlock()
    }

    public func allGather(_ rank: Int) -> RankGroup.AllGather {
        { [self] send, count, receive in
            condition.lock()
            defer { condition.unlock() }
            while gone > 0 && !isBroken { condition.wait() }
            let own = turn
            messages[rank] = Array(UnsafeRawBufferPointer(start: send, count: count))
            (calls[rank], bytes[rank]) = (calls[rank] + 1, bytes[rank] + count)
            came += 1
            if came == ranks {
                turn += 1
                (gone, came) = (ranks, 0)
                condition.broadcast()
            }
            while turn == own && !isBroken { condition.wait() }
            if isBroken { return 9 }
            let fits = messages.allSatisfy { $0.count == count }
            if fits {
                for (other, message) in messages.enumerated() {
                    (receive + other * count).copyMemory(from: message, byteCount: count)
                }
            }
            gone -= 1
            if gone == 0 { condition.broadcast() }
            guard fits else { return 7 }
            return fault?(rank, calls[rank] - 1, UnsafeMutableRawBufferPointer(start: receive, count: ranks * count))
                ?? 0
        }
    }

    /// Runs `body` on a thread for each rank; the errors by rank. A rank that throws while others wait does not stop them.
    public func run(_ body: @escaping @Sendable (_ rank: Int) throws -> Void) -> [(any Error)?] {
        let errors = ErrorsByRank(ranks)
        let done = DispatchGroup()
        for rank in 0..<ranks {
            done.enter()
            let thread = Thread {
                do { try body(rank) } catch { errors.set(rank, error) }
                done.leave()
            }
            thread.stackSize = 4 << 20
            thread.start()
        }
        done.wait()
        return errors.all
    }
}

private final class ErrorsByRank: @unchecked Sendable {
    private let lock = NSLock()
    private(set) var all: [(any Error)?]
    init(_ count: Int) { all = Array(repeating: nil, count: count) }

    func set(_ rank: Int, _ error: any Error) {
        lock.lock()
        all[rank] = error
        lock.unlock()
    }
}

/// A rank's part of a model.
public struct PartOfModel: Sendable, CustomStringConvertible {
    public let layers: Range<Int>
    public let heads: Range<Int>

    public init(layers: Range<Int>, heads: Range<Int>) { (self.layers, self.heads) = (layers, heads) }
    public var description: String { "layers \(layers), heads \(heads)" }

    /// Uneven parts, of 1 ... `most` ranks, in any order: stages of layers, each with its own division of the heads.
    public static func draw(layers: Int, heads: Int, most: Int, _ random: inout SplitMix) -> [PartOfModel] {
        var parts: [PartOfModel] = []
        let stages = cut(layers, 1 + random.below(min(layers, most)), &random)
        for (index, stage) in stages.enumerated() {
            let left = most - parts.count - (stages.count - index - 1)
            for own in cut(heads, 1 + random.below(min(heads, left)), &random) {
                parts.append(PartOfModel(layers: stage, heads: own))
            }
        }
        for index in parts.indices { parts.swapAt(index, index + random.below(parts.count - index)) }
        return parts
    }

    private static func cut(_ count: Int, _ pieces: Int, _ random: inout SplitMix) -> [Range<Int>] {
        var cuts: Set<Int> = []
        while cuts.count < pieces - 1 { cuts.insert(1 + random.below(count - 1)) }
        let bounds = [0] + cuts.sorted() + [count]
        return zip(bounds, bounds.dropFirst()).map { $0..<$1 }
    }
}
