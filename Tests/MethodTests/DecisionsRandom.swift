import KVSieveMethods
import TestSupport
import Testing

// Random's decision R1 (Sources/KVSieveMethods/README.md): a token's number depends on (seed, layer, head, position) alone, so
// that what is kept of an extended sequence is the best of all its tokens.
@testable import KVSieveCore

@Suite struct DecisionsRandom {
    private static let rounds = [60, 1, 17, 3, 40, 2, 90]

    /// The 24 bits, from the formula.
    private func number(seed: Int, layer: Int, head: Int, position: Int) -> UInt64 {
        func mix(_ x: UInt64) -> UInt64 {
            var z = x &+ 0x9E37_79B9_7F4A_7C15
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
        return mix(mix(mix(mix(UInt64(seed)) ^ UInt64(layer)) ^ UInt64(head)) ^ UInt64(position)) >> 40
    }

    /// The best C - recent of all tokens before the last `recent`, and these.
    private func expected(tokens: Int, budget: Int, recent: Int, seed: Int) -> [[[Int]]] {
        (0..<4).map { layer in
            (0..<3).map { head in
                if tokens <= budget { return Array(0..<tokens) }
                let numbers = (0..<tokens - recent).map {
                    number(seed: seed, layer: layer, head: head, position: $0)
                }
                let order = numbers.indices.sorted { numbers[$0] != numbers[$1] ? numbers[$0] > numbers[$1] : $0 < $1 }
                return order.prefix(budget - recent).sorted() + Array(tokens - recent..<tokens)
            }
        }
    }

    @Test(arguments: [0, 1, 2_147_483_647], [1, 3]) func R1_whatIsKeptIsTheBestOfAllThatCame(
        _ seed: Int, _ threads: Int
    ) throws {
        var sequence = try ExtendedSequence(.named("random"), ["seed": Double(seed), "recent": 7], threads: threads)
        var tokens = 0
        for count in Self.rounds {
            tokens += count
            #expect(try sequence.go(count) == expected(tokens: tokens, budget: 40, recent: 7, seed: seed))
        }
    }

    /// At once or in pieces, after another sequence or as the first: the same tokens.
    @Test func R1_theOrderOfCallsDoesNotMatter() throws {
        let method = try AnyMethod.named("random")
        var (pieces, whole) = try (ExtendedSequence(method), ExtendedSequence(method))
        for count in Self.rounds { try pieces.go(count) }
        let tokens = Self.rounds.reduce(0, +)
        #expect(try whole.go(tokens) == pieces.kept)
        whole.plan.reset()
        whole.forget()
        #expect(try whole.go(tokens) == pieces.kept)
    }

    /// Heads, layers and seeds choose each for itself: of 200 tokens two heads share about a fifth of 40, not all of them.
    @Test func R1_headsLayersAndSeedsDiffer() throws {
        func kept(_ seed: Double) throws -> [[Int]] {
            var sequence = try ExtendedSequence(.named("random"), ["seed": seed, "recent": 0])
            return try Array(sequence.go(200).joined())
        }
        let all = try kept(1) + kept(2)
        #expect(Set(all).count == 24)
        for (index, one) in all.enumerated() {
            for other in all[(index + 1)...] { #expect(Set(one).intersection(other).count < 24) }
        }
    }
}
