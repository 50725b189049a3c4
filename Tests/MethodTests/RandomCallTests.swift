// Calls in any order, right ones and wrong ones, from a seed: nothing ends the process, what is refused changes nothing, and
// what a plan hands out is always a selection of the cache that it saw.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

private struct RandomCaller {
    let method: AnyMethod
    let plan: Plan
    let shape: ModelShape
    var random: SplitMix
    /// Layers observed since the last reset or extend.
    private var next = 0
    /// Rows of the caches to be observed: [layer], and the new ones among them.
    private var rows: [Int] = []
    private var new = 0
    /// Whose turn to step it is, and how many tokens the round has.
    private var turn = 0
    private var round = 1
    private(set) var refused = 0
    private(set) var taken = 0

    init(_ method: AnyMethod, seed: UInt64) throws {
        self.method = method
        random = SplitMix(seed)
        shape = try ModelShape(layers: 3, queryHeads: 4, heads: 2, headDim: 4)
        plan = try method.plan(
            shape, method.tight(tokens: 60, ["recent": 5]), account: MemoryAccount(limit: 64 << 20))
        if let decoding = method.parameter("decoding"), random.below(2) == 0 { try plan.set(decoding.id, 1) }
    }

    private mutating func one(in count: Int) -> Bool { random.below(count) == 0 }
    /// Right, or next to it.
    private mutating func near(_ number: Int, wrong: Bool) -> Int {
        wrong ? max(1, number + [-1, 1, 7][random.below(3)]) : number
    }

    private mutating func tensor(_ heads: Int, _ tokens: Int, _ dim: Int, bad: Bool = false) -> Tensor {
        let type = elementTypes[random.below(3)]
        let tensor = Tensor(
            random.floats(heads * tokens * dim), heads: heads, tokens: tokens, dim: dim, type,
            Layout.allCases[random.below(Layout.allCases.count)])
        if bad { tensor.set(random.below(heads), random.below(tokens), random.below(dim), .nan) }
        return tensor
    }

    mutating func call() throws {
        switch random.below(100) {
        case 0..<48: try observe()
        case 48..<60: try plan.finish()
        case 60..<66: try gather()
        case 66..<76:
            let count = random.below(40) - 2
            let kept = try? (0..<shape.layers).map { try plan.kept(layer: $0).longest }
            try plan.extend(count)
            (next, new, rows) = (0, count, (kept ?? []).map { $0 + count })
        case 76..<92: try step()
        case 92..<94: try plan.trim(random.below(6) - 1)
        case 94..<96:
            plan.reset()
            (next, new, rows, turn) = (0, 0, [], 0)
        default: try set()
        }
    }

    private mutating func observe() throws {
        if new == 0 {
            new = 1 + random.below(90)
            rows = Array(repeating: new, count: shape.layers)
        }
        // If the first layer of a prompt was refused, another prompt may follow.
        defer { if next == 0, rows.allSatisfy({ $0 == new }) { new = 0 } }
        let wrong = one(in: 8) ? random.below(5) : -1
        let layer = near(next + 1, wrong: wrong == 0) - 1
        guard rows.indices.contains(layer) else { return try plan.finish() }
        let q = tensor(4, near(new, wrong: wrong == 1), 4, bad: wrong == 2)
        let k = tensor(2, near(rows[layer], wrong: wrong == 3), 4, bad: wrong == 4)
        let v = tensor(2, rows[layer], 6)
        try plan.observe(layer: layer, q, k, v)
        next = layer + 1
    }

    private mutating func gather() throws {
        let layer = random.below(shape.layers)
        let kept = try plan.kept(layer: layer)
        let source = tensor(2, near(kept.frame.rows, wrong: one(in: 6)), 5)
        let packed = one(in: 2)
        let least = packed ? kept.total : kept.longest
        let target = Tensor(
            heads: packed ? 1 : 2, tokens: near(max(1, least), wrong: one(in: 4)), dim: 5,
            one(in: 4) ? .float16 : source.type)
        try plan.gather(layer: layer, source: source.view("source"), target: target.view("target"))
        for head in 0..<2 {
            let first = Int(kept.offsets[head])
            let padding = try plan.get(Shared.align.id) == 1 ? kept.longest - kept.copy(head).count : 0
            for index in first..<Int(kept.offsets[head + 1]) {
                let place = packed ? target.row(0, index) : target.row(head, padding + index - first)
                #expect(place == source.row(head, Int(kept.rows[index])))
            }
        }
    }

    private mutating func step() throws {
        let layer = one(in: 8) ? random.below(4) : turn
        let tokens = turn == 0 || one(in: 8) ? 1 + random.below(3) : round
        let living = (try? plan.slots(layer: min(layer, 2), head: 0).positions.count) ?? 3
        let rows = near(living + tokens, wrong: one(in: 8))
        let (k, v) = (tensor(2, rows, 4, bad: one(in: 12)), tensor(2, rows, 3))
        let q = tensor(4, tokens, 4)
        let logits = tensor(4, tokens, rows, bad: one(in: 12))
        let byLogits = one(in: 2)
        // By the shape of the keys alone there may be more new tokens than were meant.
        let evict = Tensor(heads: 2, tokens: rows, dim: 1)
        let places = evict.memory.assumingMemoryBound(to: Int32.self)
        if byLogits {
            try plan.step(layer: layer, slot: places, logits: logits, v)
        } else {
            try plan.step(layer: layer, slot: places, q, k, v)
        }
        (turn, round) = ((layer + 1) % shape.layers, tokens)
    }

    private mutating func set() throws {
        let parameter = method.row.parameters[random.below(method.row.parameters.count)]
        var values = [parameter.initial, parameter.lowest, parameter.highest, Double(random.below(70)), .nan, -1]
        if parameter.id == Shared.threads.id { values = [1, 2, 3] }
        try plan.set(parameter.id, values[random.below(values.count)])
    }

    /// All that a plan says, as numbers: text of it took most of the test's time.
    var said: [Int] {
        var said = method.row.parameters.map { Int(bitPattern: UInt(((try? plan.get($0.id)) ?? .nan).bitPattern)) }
        for layer in 0..<shape.layers {
            if let kept = try? plan.kept(layer: layer) {
                said += [-1, kept.frame.length.seen, kept.frame.length.new, kept.total]
                said += (0...2).map { Int(kept.offsets[$0]) }
                said += (0..<2).map { kept.frame.length.rows($0) }
                for index in 0..<kept.total { said += [Int(kept.positions[index]), Int(kept.rows[index])] }
            }
            for head in 0..<2 {
                if let (positions, tokens) = try? plan.slots(layer: layer, head: head) {
                    said += [-2, tokens, positions.count]
                    said += positions.lazy.map { Int($0) }
                }
            }
        }
        return said
    }

    /// Positions and rows ascend, and are of tokens seen and rows observed.
    var isSound: Bool {
        (0..<shape.layers).allSatisfy { layer in
            guard let kept = try? plan.kept(layer: layer) else { return true }
            return (0..<2).allSatisfy { head in
                let range = Int(kept.offsets[head])..<Int(kept.offsets[head + 1])
                let (positions, rows) = (range.map { Int(kept.positions[$0]) }, range.map { Int(kept.rows[$0]) })
                func ascend(_ numbers: [Int], in all: Range<Int>) -> Bool {
                    zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 } && numbers.allSatisfy(all.contains)
                }
                let length = kept.frame.length
                let own = length.first(head)..<length.first(head) + length.rows(head)
                return ascend(positions, in: 0..<length.seen) && ascend(rows, in: own)
            }
        }
    }

    mutating func walk(_ calls: Int) throws {
        for number in 0..<calls {
            let before = said
            do {
                try call()
                taken += 1
            } catch is KVSieveError {
                refused += 1
                #expect(said == before, "call \(number)")
            }
            #expect(isSound, "call \(number)")
        }
    }
}

@Suite struct RandomCallTests {
    @Test(arguments: AnyMethod.all, [1, 2, 3, 4] as [UInt64])
    func callsInAnyOrderAreTakenOrRefused(_ method: AnyMethod, _ seed: UInt64) throws {
        var (taken, refused) = (0, 0)
        for walk in 0..<25 {
            var caller = try RandomCaller(method, seed: seed * 1000 + UInt64(walk))
            try caller.walk(120)
            (taken, refused) = (taken + caller.taken, refused + caller.refused)
        }
        print("\(method.name), seeds \(seed * 1000) ...: \(taken) calls taken, \(refused) refused")
        #expect(taken > 300 && refused > 300)
    }
}
