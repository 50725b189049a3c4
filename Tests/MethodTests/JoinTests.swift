// What several ranks keep together is what one process keeps that has all layers and heads, bit for bit: every method, in parts
// of any size, with every parameter that makes heads or layers look at each other.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

/// One model as one plan has it, and as ranks have it.
struct JoinedSequence {
    let parts: [PartOfModel]
    let group: InProcessGroup
    var whole: ExtendedSequence
    var ranks: [ExtendedSequence]

    /// - Parameters:
    ///   - flat: queries are zeros: many scores are equal.
    ///   - versions: of each rank's library.
    init(
        _ method: AnyMethod, _ shape: ModelShape, _ parameters: [String: Double], _ parts: [PartOfModel], total: Int,
        seed: UInt64, flat: Bool = false, versions: [Int] = []
    ) throws {
        self.parts = parts
        group = InProcessGroup(parts.count)
        var noise = Sequence(shape, tokens: total, seed: seed)
        if flat { noise.queries = noise.queries.map { $0.map { _ in 0 } } }
        whole = try ExtendedSequence(
            method, shape, parameters, total: total, noise.queries, noise.keys, noise.values)
        ranks = []
        for (rank, part) in parts.enumerated() {
            let own = try ModelShape(
                layers: part.layers.count, queryHeads: part.heads.count * shape.group, heads: part.heads.count,
                headDim: shape.headDim)
            func cut(_ all: [[Float]], _ perHead: Int) -> [[Float]] {
                let row = perHead * total * shape.headDim
                return part.layers.map {
                    Array(all[$0][part.heads.lowerBound * row..<part.heads.upperBound * row])
                }
            }
            let sequence = try ExtendedSequence(
                method, own, parameters, total: total, cut(noise.queries, shape.group), cut(noise.keys, 1),
                cut(noise.values, 1))
            try sequence.plan.join(
                RankGroup(
                    rank: rank, ranks: parts.count, firstLayer: part.layers.lowerBound, layers: shape.layers,
                    firstHead: part.heads.lowerBound, heads: shape.heads, of: own,
                    version: versions.isEmpty ? 1 : versions[rank], allGather: group.allGather(rank)))
            ranks.append(sequence)
        }
    }

    func protect(_ range: Range<Int>) throws {
        for plan in [whole.plan] + ranks.map(\.plan) { try plan.protect(first: range.lowerBound, count: range.count) }
    }

    /// A round of all ranks; their errors.
    mutating func go(_ count: Int) -> [KVSieveError?] {
        let box = RanksBox(ranks)
        let (parts, group) = (parts, group)
        let errors = group.run { rank in try box.go(rank, count, parts[rank].layers.count, group) }
        ranks = box.all
        return errors.map { $0 as? KVSieveError }
    }

    /// What the ranks keep, by the model's layers and heads.
    func together() throws -> [[[Int]]] {
        var all = whole.kept.map { $0.map { _ in [Int]() } }
        for (part, rank) in zip(parts, ranks) {
            for (layer, heads) in zip(part.layers, rank.kept) {
                for (head, rows) in zip(part.heads, heads) { all[layer][head] = rows }
            }
        }
        return all
    }
}

/// Threads write one element each.
private final class RanksBox: @unchecked Sendable {
    private let memory: UnsafeMutableBufferPointer<ExtendedSequence>
    var all: [ExtendedSequence] { Array(memory) }

    init(_ ranks: [ExtendedSequence]) {
        memory = .allocate(capacity: ranks.count)
        _ = memory.initialize(from: ranks)
    }

    deinit {
        memory.deinitialize()
        memory.deallocate()
    }

    func go(_ rank: Int, _ count: Int, _ layers: Int, _ group: InProcessGroup) throws {
        do {
            try memory[rank].extend(count)
            for layer in 0..<layers { try memory[rank].observe(layer) }
        } catch {
            // The others would wait for ever.
            group.interrupt()
            throw error
        }
        try memory[rank].finish()
    }
}

/// How much the random sequences of a method have tried.
private struct Tried {
    var refused = 0
    var compared = 0
    var laterRounds = 0
    var dropped = 0
}

@Suite struct JoinTests {
    private static let seeds = Array(UInt64(1)...40)

    /// Rounds of random sequences.
    @Test(arguments: AnyMethod.all) func ranksKeepWhatOneProcessKeeps(_ method: AnyMethod) throws {
        var tried = Tried()
        for seed in Self.seeds { try compare(method, seed: seed &* 7919 &+ UInt64(method.row.id), &tried) }
        #expect(tried.compared > 20 && tried.laterRounds > 5 && tried.refused < 20, "\(tried)")
        #expect(tried.dropped > tried.compared / 2, "\(tried)")
    }

    private func compare(_ method: AnyMethod, seed: UInt64, _ tried: inout Tried) throws {
        var random = SplitMix(seed)
        let (layers, heads) = (1 + random.below(6), 1 + random.below(5))
        let shape = try ModelShape(
            layers: layers, queryHeads: heads * (1 + random.below(3)), heads: heads, headDim: 8)
        let parts = PartOfModel.draw(layers: layers, heads: heads, most: 8, &random)
        let tokens = 60 + random.below(200)
        var wishes: [String: Double] = [
            "beta": 0.5, "cap": [1.5, 10][random.below(2)], "every": Double(1 + random.below(3)),
            "charge": Double(random.below(2)), "shared": Double(1 + random.below(3)), "task": Double(random.below(2)),
            "threads": Double(1 + random.below(2)), "pool": Double(random.below(2)),
            "normal": Double(random.below(2)), "top": Double(random.below(3)), "seed": Double(random.below(9)),
            "share": Double(random.below(3)), "even": Double(random.below(2)), "block": [1, 1, 4][random.below(3)],
        ]
        if wishes["block"] == 4 { wishes["size"] = 8 }
        if random.below(4) == 0 && wishes["share"] == 0 && method.name != "tova" && method.name != "windowkv" {
            (wishes["mass"], wishes["even"]) = (0.7, 0)
        }
        let parameters = method.tight(tokens: tokens, ratio: 0.5, wishes)
        let flat = random.below(5) == 0
        let name = "seed \(seed) \(method.name) L\(layers) H\(heads) \(parts) T\(tokens) \(parameters) flat \(flat)"
        var sequence = try JoinedSequence(
            method, shape, parameters, parts, total: 2 * tokens + 100, seed: seed, flat: flat)
        if random.below(2) == 0 { try sequence.protect(10..<(11 + random.below(6))) }
        var counts = [tokens]
        while random.below(2) == 0 && counts.count < 4 { counts.append(1 + random.below(40)) }
        for (round, count) in counts.enumerated() {
            var refused: KVSieveError?
            do { try sequence.whole.go(count) } catch { refused = error as? KVSieveError }
            let errors = sequence.go(count)
            if let refused {
                tried.refused += 1
                #expect(errors.allSatisfy { $0 != nil }, "\(name) round \(round): \(errors)")
                #expect(errors.contains { $0?.kind == refused.kind }, "\(name) round \(round): \(errors)")
                return
            }
            #expect(errors.allSatisfy { $0 == nil }, "\(name) round \(round): \(errors)")
            guard errors.allSatisfy({ $0 == nil }) else { return }
            let (expected, found) = try (sequence.whole.kept, sequence.together())
            #expect(found == expected, "\(name) round \(round)")
            guard found == expected else { return }
            tried.compared += 1
            if round > 0 { tried.laterRounds += 1 }
            if expected.joined().contains(where: { $0.count < tokens }) { tried.dropped += 1 }
        }
    }

    @Test func ranksWithOtherLibraries() throws {
        let shape = try ModelShape(layers: 2, queryHeads: 2, heads: 2, headDim: 8)
        let parts = [PartOfModel(layers: 0..<2, heads: 0..<1), PartOfModel(layers: 0..<2, heads: 1..<2)]
        let method = try AnyMethod.named("snapkv")
        var sequence = try JoinedSequence(
            method, shape, method.tight(tokens: 60), parts, total: 60, seed: 1, versions: [100, 200])
        let errors = sequence.go(60)
        let expected = "the version of the library is 200 on rank 1 and 100 on rank 0; expected the same"
        #expect(errors.map { $0?.kind } == [.state, .state] && errors.map { $0?.message } == [expected, expected])
    }

    /// A rank whose memory ends in finish() says so: all ranks say it, no plan has changed, and with memory they finish.
    @Test(arguments: AnyMethod.all, [0.0, 1, 2]) func aRankWithoutMemoryIsNoEnd(
        _ method: AnyMethod, _ share: Double
    ) throws {
        let shape = try ModelShape(layers: 3, queryHeads: 4, heads: 2, headDim: 8)
        let parts = [
            PartOfModel(layers: 0..<2, heads: 0..<1), PartOfModel(layers: 0..<2, heads: 1..<2),
            PartOfModel(layers: 2..<3, heads: 0..<2),
        ]
        let parameters = method.tight(tokens: 120, ratio: 0.5, ["share": share])
        var refusals = 0
        for more in stride(from: 0, through: 400_000, by: 1500) {
            var sequence = try JoinedSequence(method, shape, parameters, parts, total: 130, seed: 3)
            let expected = try sequence.whole.go(120)
            for rank in sequence.ranks.indices {
                try sequence.ranks[rank].extend(120)
                for layer in 0..<parts[rank].layers.count { try sequence.ranks[rank].observe(layer) }
            }
            let (plans, account) = (PlansBox(sequence.ranks.map(\.plan)), sequence.ranks[1].account)
            account.limit = account.held + more
            let errors = sequence.group.run { try plans.all[$0].finish() }.map { $0 as? KVSieveError }
            account.limit = .max
            if errors.allSatisfy({ $0 == nil }) { break }
            refusals += 1
            #expect(errors.allSatisfy { $0?.kind == .memory }, "\(more): \(errors)")
            #expect(errors.allSatisfy { $0?.message.hasPrefix("rank 1: out of memory") == true }, "\(more): \(errors)")
            for plan in plans.all { #expect(try positions(plan, layer: 0)[0].count == 120, "\(more)") }
            let again = sequence.group.run { try plans.all[$0].finish() }
            #expect(again.allSatisfy { $0 == nil }, "\(more): \(again)")
            for rank in sequence.ranks.indices { try sequence.ranks[rank].settle() }
            #expect(try sequence.together() == expected, "\(more)")
        }
        #expect(refusals > 0)
    }
}

private final class PlansBox: @unchecked Sendable {
    let all: [Plan]
    init(_ all: [Plan]) { self.all = all }
}
