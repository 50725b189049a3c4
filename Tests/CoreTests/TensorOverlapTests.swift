// Which rows share bytes: against sets of bytes, over small random strides.
import TestSupport
import Testing

@testable import KVSieveCore

private nonisolated(unsafe) let memory = UnsafeMutableRawPointer.allocate(byteCount: 1 << 16, alignment: 64)

private struct Shape {
    var heads: Int, tokens: Int, dim: Int, head: Int, token: Int, base: Int
    var type: ElementType
    var row: Int { dim * type.size }
    var name: String { "\(heads) heads, \(tokens) tokens, row \(row), strides \(head) \(token), at \(base)" }

    init(_ random: inout SplitMix) {
        type = random.below(2) == 0 ? .float32 : .float16
        (heads, tokens, dim) = (1 + random.below(5), 1 + random.below(6), 1 + random.below(3))
        (head, token) = ((random.below(36)) * type.size, (random.below(20)) * type.size)
        base = random.below(40) * 4
    }

    func view() throws(KVSieveError) -> TensorView {
        try TensorView(
            "keys", base: memory + base, heads: heads, tokens: tokens, dim: dim, headStride: head, tokenStride: token,
            type: type)
    }

    /// First byte of each row.
    var starts: [Int] {
        (0..<heads).flatMap { h in
            (0..<tokens).map { base + (heads > 1 ? h * head : 0) + (tokens > 1 ? $0 * token : 0) }
        }
    }

    var bytes: Set<Int> { Set(starts.flatMap { $0..<$0 + row }) }
    /// No byte belongs to two rows, and strides are such as a view may have.
    var isLegal: Bool {
        (heads == 1 || head >= row) && (tokens == 1 || token >= row) && bytes.count == heads * tokens * row
    }
}

@Suite struct TensorOverlapTests {
    /// Token-major, head-major, and every interleaving between that keeps rows apart; nothing else.
    @Test func aViewIsMadeExactlyWhenRowsAreApart() {
        var random = SplitMix(61)
        var (legal, illegal, exotic) = (0, 0, 0)
        var wrong: [String] = []
        for _ in 0..<60_000 {
            let shape = Shape(&random)
            let error = refusal { _ = try shape.view() }
            if (error == nil) != shape.isLegal || (error != nil && error?.kind != .layout) { wrong.append(shape.name) }
            if shape.isLegal { legal += 1 } else { illegal += 1 }
            let apart = shape.head >= shape.tokens * shape.token || shape.token >= shape.heads * shape.head
            if shape.isLegal && shape.heads > 1 && shape.tokens > 1 && !apart { exotic += 1 }
        }
        #expect(wrong.prefix(3) == [], "seed 61")
        #expect(legal > 1000 && illegal > 1000 && exotic > 100, "the shapes were all alike")
    }

    @Test func extentIsFromTheFirstByteToTheLast() throws {
        var random = SplitMix(62)
        for _ in 0..<5000 {
            let shape = Shape(&random)
            guard shape.isLegal, let last = shape.bytes.max() else { continue }
            #expect(try shape.view().extent == last + 1 - shape.base, "\(shape.name), seed 62")
        }
    }

    @Test func overlapsIsExact() throws {
        var random = SplitMix(63)
        var (apart, meeting) = (0, 0)
        var wrong: [String] = []
        for _ in 0..<60_000 {
            let a = Shape(&random)
            var b = Shape(&random)
            // Often of the same layout, near each other.
            if random.below(2) > 0 { (b.dim, b.type, b.head, b.token) = (a.dim, a.type, a.head, a.token) }
            guard a.isLegal, b.isLegal else { continue }
            let (one, other) = (try a.view(), try b.view())
            let shared = !a.bytes.isDisjoint(with: b.bytes)
            if one.overlaps(other) != shared || other.overlaps(one) != shared {
                wrong.append("\(a.name) with \(b.name)")
            }
            let extentsMeet = a.base < b.base + other.extent && b.base < a.base + one.extent
            if shared { meeting += 1 } else if extentsMeet { apart += 1 }
        }
        #expect(wrong.prefix(3) == [], "seed 63")
        #expect(meeting > 1000 && apart > 1000, "the shapes were all alike")
    }

    /// Many tokens, and strides of which one is no multiple of the other: against the rows of both in order of their addresses.
    @Test func overlapsIsExactOfLongTensors() throws {
        var random = SplitMix(65)
        var (apart, meeting) = (0, 0)
        var wrong: [String] = []
        for _ in 0..<20_000 {
            func draw() throws -> (view: TensorView, name: String) {
                let row = 4 * (1 + random.below(3))
                let (tokens, step) = (1 + random.below(200), row + 4 * random.below(40))
                let (heads, base) = (1 + random.below(3), 4 * random.below(2000))
                let view = try TensorView(
                    "keys", base: memory + base, heads: heads, tokens: tokens, dim: row / 4,
                    headStride: tokens * step + 4 * random.below(300), tokenStride: step, type: .float32)
                return (
                    view, "\(heads) heads, \(tokens) tokens, row \(row), strides \(view.headStride) \(step), at \(base)"
                )
            }
            let (one, other) = (try draw(), try draw())
            let shared = Self.meet(one.view, other.view)
            if one.view.overlaps(other.view) != shared { wrong.append("\(one.name) with \(other.name)") }
            if shared { meeting += 1 } else { apart += 1 }
        }
        #expect(wrong.prefix(3) == [], "seed 65")
        #expect(meeting > 1000 && apart > 1000, "the shapes were all alike")
    }

    private static func meet(_ one: TensorView, _ other: TensorView) -> Bool {
        func rows(_ view: TensorView) -> [(Int, Int)] {
            (0..<view.heads).flatMap { head in
                (0..<view.tokens).map { (view.row(head, $0) - memory, view.rowBytes) }
            }
        }
        let all = (rows(one) + rows(other)).sorted { $0.0 < $1.0 }
        return zip(all, all.dropFirst()).contains { $0.0 + $0.1 > $1.0 }
    }

    @Test func coincidesMeansTheSameRowsInTheSamePlaces() throws {
        var random = SplitMix(64)
        var (yes, no) = (0, 0)
        for _ in 0..<60_000 {
            let a = Shape(&random)
            var b = a
            b.tokens = 1 + random.below(6)
            switch random.below(6) {
            case 0: b.base += 4
            case 1: b.heads = 1 + random.below(5)
            case 2: b.head += b.type.size
            case 3: b.token += b.type.size
            case 4: b.dim = 1 + random.below(3)
            default: break
            }
            guard a.isLegal, b.isLegal else { continue }
            let both = min(a.tokens, b.tokens)
            func rows(_ shape: Shape) -> [Int] {
                (0..<shape.heads).flatMap { h in shape.starts[h * shape.tokens..<h * shape.tokens + both] }
            }
            let same = a.row == b.row && a.heads == b.heads && rows(a) == rows(b)
            #expect(try a.view().coincides(with: b.view()) == same, "\(a.name) with \(b.name), seed 64")
            if same { yes += 1 } else { no += 1 }
        }
        #expect(yes > 500 && no > 500, "the shapes were all alike")
    }
}
