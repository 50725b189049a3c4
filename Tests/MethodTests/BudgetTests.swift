// What every method makes of its budget: shares and tokens, what cannot be held, and that no head ends empty.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

/// A budget that is refused, as its sentence says it.
private struct Refusal {
    let parameter: Parameter
    let smallest: Double

    /// "...; the smallest ratio is 0.3"
    init(_ error: KVSieveError, _ method: AnyMethod) throws {
        #expect(error.kind == .budget)
        let words = error.message.split(separator: " ")
        let at = try #require(words.lastIndex(of: "smallest"), "\(error.message)")
        try #require(at + 3 == words.count - 1 && words[at + 2] == "is", "\(error.message)")
        parameter = try #require(method.parameter("\(words[at + 1])"), "\(error.message)")
        smallest = try #require(Double(words[at + 3]), "\(error.message)")
    }
}

@Suite struct BudgetTests {
    private static let seed: UInt64 = 11

    private func shape() throws -> ModelShape { try ModelShape(layers: 3, queryHeads: 4, heads: 2, headDim: 4) }

    private func refusal(
        _ method: AnyMethod, _ parameters: [String: Double], _ sequence: Sequence, _ protect: [Range<Int>] = []
    ) throws -> KVSieveError? {
        do {
            _ = try sequence.kept(method, parameters, protect: protect)
            return nil
        } catch let error as KVSieveError {
            return error
        }
    }

    /// floor(0.29 * 200) = 58, and 0.29 * 100 in doubles is less than 29.
    @Test(arguments: AnyMethod.all, [(200, 58), (100, 29)]) func aRatioIsTheSameBudgetInTokens(
        _ method: AnyMethod, _ size: (tokens: Int, budget: Int)
    ) throws {
        let sequence = try Sequence(shape(), tokens: size.tokens, seed: Self.seed)
        var plain = method.tight(tokens: size.tokens, ["recent": 9])
        (plain["budget"], plain["ratio"]) = (Double(size.budget), 0)
        let byTokens = try sequence.kept(method, plain)
        (plain["budget"], plain["ratio"]) = (method.goesByRatio ? 0 : 1, 0.29)
        let byRatio = try sequence.kept(method, plain)
        #expect(byRatio == byTokens)
        #expect(byTokens.joined().contains { $0.count < size.tokens })
    }

    /// Parameters drawn near what they must hold.
    private func draw(_ method: AnyMethod, _ random: inout SplitMix) -> [String: Double] {
        var drawn: [String: Double] = [:]
        for parameter in method.row.parameters where "\(parameter.name)" != "threads" {
            let least = parameter.lowest
            switch parameter.kind {
            case .real: drawn["\(parameter.name)"] = max(least, [0, 0.05, 0.1, 0.3][random.below(4)])
            case .whole: drawn["\(parameter.name)"] = min(parameter.highest, least + Double(random.below(9)))
            case .odd: drawn["\(parameter.name)"] = least + 2 * Double(random.below(5))
            }
        }
        if let shared = drawn["shared"] { drawn["pyramid"] = shared + 1 }
        if drawn["decoding"] == 1 { (drawn["share"], drawn["block"]) = (0, 1) }
        let isEven = drawn["decoding"] == 1 || drawn["even"] == 1 || drawn["share"] == 2
        if isEven, drawn["mass"] != nil { drawn["mass"] = 0 }
        if let size = drawn["size"], let block = drawn["block"] { drawn["size"] = size * block }
        return drawn
    }

    /// What an error proposes is accepted, or there is another to be met; and it is the smallest: the next below is refused.
    /// Also where ranges of tokens are protected.
    @Test(arguments: AnyMethod.all, [0, 1, 3]) func whatABudgetErrorProposesIsAccepted(
        _ method: AnyMethod, _ ranges: Int
    ) throws {
        var random = SplitMix(Self.seed)
        var refused = 0
        for draw in 0..<60 {
            var parameters = self.draw(method, &random)
            let sequence = try Sequence(shape(), tokens: 2 + random.below(60), seed: Self.seed)
            let protect = (0..<ranges).map { _ in
                let first = random.below(sequence.tokens)
                return first..<(first + 1 + random.below(min(8, sequence.tokens - first)))
            }
            let said: Comment = "seed \(Self.seed), draw \(draw), T \(sequence.tokens), \(parameters), \(protect)"
            var proposed: Set<String> = []
            while let error = try refusal(method, parameters, sequence, protect) {
                refused += 1
                let refusal = try Refusal(error, method)
                let name = "\(refusal.parameter.name)"
                guard proposed.insert(name).inserted else {
                    Issue.record("\(error.message): it was proposed before; \(said)")
                    break
                }
                #expect(refusal.smallest <= refusal.parameter.highest, said)
                parameters[name] = refusal.smallest
                let below = refusal.smallest - (refusal.parameter.kind == .real ? 1e-6 : 1)
                if below >= refusal.parameter.lowest, below > 0 || refusal.parameter.kind != .real {
                    let less = parameters.merging([name: below]) { $1 }
                    #expect(try self.refusal(method, less, sequence, protect)?.kind == .budget, said)
                }
            }
        }
        print("\(method.name): \(refused) budgets refused")
        // TOVA keeps one token for certain: no budget is smaller.
        #expect(refused > 0 || method.name == "tova" && ranges == 0)
    }

    /// Prompts of 1 ... 9 tokens, budgets of 1 ... 3, whatever else: nothing is protected that need not be.
    @Test(arguments: AnyMethod.all) func noHeadEndsEmpty(_ method: AnyMethod) throws {
        var random = SplitMix(Self.seed)
        let least: [String: Double] = ["window": 1, "pool_kernel": 1, "sinks": 0, "recent": 0, "semantic": 1]
        for tokens in 1...9 {
            for budget in 1...3 {
                for draw in 0..<4 {
                    let heads = 1 + random.below(3)
                    let shape = try ModelShape(
                        layers: 1 + random.below(4), queryHeads: heads * (1 + random.below(2)), heads: heads, headDim: 4
                    )
                    let drawn = self.draw(method, &random).merging(least) { $1 }
                        .merging(["budget": Double(budget), "ratio": 0, "decoding": 0]) { $1 }
                    var parameters = method.having(drawn)
                    let said: Comment = "T \(tokens), seed \(Self.seed), draw \(draw), \(parameters)"
                    let sequence = try Sequence(shape, tokens: tokens, seed: random.next())
                    if let error = try refusal(method, parameters, sequence) {
                        // Only whole blocks need more, and WindowKV's whole windows if layers are even.
                        #expect(parameters["block"] ?? 1 > 1 || parameters["charge"] == 1, said)
                        let refused = try Refusal(error, method)
                        parameters["\(refused.parameter.name)"] = refused.smallest
                    }
                    let kept = try sequence.kept(method, parameters)
                    #expect(kept.joined().allSatisfy { !$0.isEmpty }, said)
                }
            }
        }
    }

    /// So too if the sequence is extended, and by a very small share.
    @Test(arguments: AnyMethod.all, [0, 0.01]) func noHeadEndsEmptyWhenASequenceGoesOn(
        _ method: AnyMethod, _ ratio: Double
    ) throws {
        let least: [String: Double] = [
            "window": 1, "pool_kernel": 1, "sinks": 0, "recent": 0, "semantic": 1, "beta": method.goesByRatio ? 0 : 1,
            "top": 0, "budget": ratio > 0 && method.goesByRatio ? 0 : 1, "ratio": ratio,
        ]
        var sequence = try ExtendedSequence(method, least, total: 100)
        for count in [1, 1, 3, 7, 1, 40] {
            #expect(try sequence.go(count).joined().allSatisfy { !$0.isEmpty && $0.count <= sequence.tokens })
        }
    }

    /// E8: a share of the tokens seen that cannot hold the protected tokens is an error of a prompt. A sequence that grew into it
    /// keeps these alone, and competes again when the share has grown.
    @Test(arguments: AnyMethod.all) func E8_aSequenceThatOutgrowsItsShareKeepsTheProtected(_ method: AnyMethod) throws {
        let ratio = 0.125
        let wishes: [String: Double] = ["ratio": ratio, "window": 6, "sinks": 2, "recent": 4, "charge": 1]
        let shape = try ModelShape(layers: 4, queryHeads: 6, heads: 3, headDim: 8)
        let parameters = method.tight(tokens: 200, wishes)
        // A prompt of ten tokens, of which one may be kept.
        guard errorKind({ _ = try Sequence(shape, tokens: 10, seed: 1).kept(method, parameters) }) == .budget else {
            // One token, the newest, is all that these two protect, and any share has room for it.
            #expect(["tova", "h2o"].contains(method.name))
            return
        }
        var sequence = try ExtendedSequence(method, wishes, total: 300)
        #expect(try sequence.go(2) == Array(repeating: Array(repeating: [0, 1], count: 3), count: 4))
        try sequence.go(2)
        let kept = try sequence.go(20)
        let counts = Set(kept.joined().map(\.count))
        let protected = try #require(counts.first)
        #expect(counts.count == 1 && protected >= 3, "\(counts)")
        let sinks = kept[0][0].prefix { $0 < 2 }.count
        for head in kept.joined() {
            #expect(head == Array(0..<sinks) + Array(24 - (protected - sinks)..<24))
        }
        // floor(0.125 * 124) = 15.
        let mean = try sequence.go(100).joined().reduce(0) { $0 + $1.count } / 12
        #expect(mean > protected && mean <= 15)
    }
}
