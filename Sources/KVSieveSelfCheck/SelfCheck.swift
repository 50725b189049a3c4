// Is this library what was built? Every table of kernels that this processor runs, on fixed numbers, against double; and what a plan
// of each method keeps of a fixed sequence, against a stored answer. It knows no C struct of the API and reads nothing of its caller.
import CSupport
import KVSieveCore
import KVSieveMethods

public enum SelfCheck {
    /// The first fault is thrown.
    public static func run() throws(KVSieveError) {
        for table in kernelTables { try check(table) }
        if usesBLAS { try checkProduct() }
        for type in Registry.methods { try check(type) }
    }

    /// The kernels of one table.
    package static func check(_ table: support_kernels) throws(KVSieveError) {
        let room = try Room(bytes: 1 << 17)
        defer { room.free() }
        let check = KernelCheck(table: table, room: room)
        try check.widening()
        try check.blocks()
        try check.columns()
        try check.pairs()
        try check.bytes()
        try check.rowDots()
        try check.tiles()
        try check.rows()
        try check.numbers()
        try check.rolling()
        try check.sums()
        try check.pooling()
    }

    /// A plan of one method.
    package static func check(_ type: any Method.Type) throws(KVSieveError) {
        let name = type.row.name.description
        guard let answer = storedAnswer(name) else {
            throw KVSieveError(.broken, "self-check: no answer is stored for \(name)")
        }
        let found = try FixedSequence(seed: answer.seed).choice(type)
        guard found == answer.hash else {
            throw KVSieveError(
                .broken,
                "self-check: \(name) keeps other rows of the fixed sequence: their hash is \(found); expected \(answer.hash)"
            )
        }
    }
}

/// Memory for the numbers of a check, which is refused as a whole.
struct Room {
    private let start: UnsafeMutableRawPointer
    private let bytes: Int

    init(bytes: Int) throws(KVSieveError) {
        guard let start = support_allocate(bytes) else {
            throw KVSieveError(.memory, "out of memory: \(bytes) bytes were asked for")
        }
        (self.start, self.bytes) = (start, bytes)
    }

    func free() { support_free(start) }

    /// Takes from the beginning again.
    func all() -> Taken { Taken(next: start, left: bytes) }

    struct Taken {
        fileprivate var next: UnsafeMutableRawPointer
        fileprivate var left: Int

        fileprivate init(next: UnsafeMutableRawPointer, left: Int) { (self.next, self.left) = (next, left) }

        /// Numbers that are 0.
        mutating func take<Number: Numeric>(_ count: Int, of type: Number.Type) throws(KVSieveError)
            -> UnsafeMutablePointer<Number>
        {
            let size = (count * MemoryLayout<Number>.stride + 63) / 64 * 64
            guard size <= left else {
                throw KVSieveError(.memory, "out of memory: a self-check has more numbers than room")
            }
            let taken = next.bindMemory(to: Number.self, capacity: count)
            taken.initialize(repeating: 0, count: count)
            next += size
            left -= size
            return taken
        }

        mutating func floats(_ count: Int) throws(KVSieveError) -> UnsafeMutablePointer<Float> {
            try take(count, of: Float.self)
        }

        /// Numbers of the stream.
        mutating func floats(_ count: Int, _ stream: inout NumberStream) throws(KVSieveError)
            -> UnsafeMutablePointer<Float>
        {
            let taken = try take(count, of: Float.self)
            for index in 0..<count { taken[index] = stream.next() }
            return taken
        }
    }
}

/// Numbers of SplitMix64: multiples of 2^-22 in [-2, 2), bell-shaped. As Tests/Golden/seeded.py makes them.
struct NumberStream {
    private var random: SplitMix64

    init(_ seed: UInt64) { random = SplitMix64(seed) }

    mutating func bits() -> UInt64 { random.next() }

    mutating func next() -> Float {
        let sum = (bits() >> 40) + (bits() >> 40) + (bits() >> 40) + (bits() >> 40)
        return Float(Int(sum >> 2) - (1 << 23)) / 4_194_304
    }
}
