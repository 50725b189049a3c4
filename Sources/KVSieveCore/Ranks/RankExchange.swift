// Messages of all ranks to all ranks, a round at a time, in memory that is used again. A message begins with a head of 256 bytes:
//
//     mark 8 | round 8 | rank 8 | bytes 8 | kind of failure 8, -1 for none | its sentence, ended by a 0
//
// A failure that one rank says is thrown by all of them.

final class RankExchange {
    static let headBytes = 256
    private static let mark: Int64 = 0x6b76_7372_616e_6b31
    private static let sentence = 40

    let group: RankGroup
    private let sent: Buffer<Int64>
    private let received: Buffer<Int64>
    /// Bytes of the messages of this round, their heads included.
    private var size = 0
    private var round: Int64 = 0
    /// Is the engine's collective running, which must not call the plan?
    private(set) var isSending = false
    /// Since begin(): what the header tells of the cost is held to these.
    private(set) var bytesSent = 0
    private(set) var rounds = 0

    init(_ group: RankGroup, _ account: MemoryAccount) {
        self.group = group
        sent = Buffer(account)
        received = Buffer(account)
    }

    /// Room for messages of so many bytes beside their heads: no round of fewer allocates.
    func reserve(_ bytes: Int) throws(KVSieveError) {
        let words = Self.words(bytes)
        let (all, overflow) = words.multipliedReportingOverflow(by: group.ranks)
        guard !overflow else { throw KVSieveError(.memory, "out of memory: messages of \(bytes) bytes") }
        try sent.reserve(words)
        try received.reserve(all)
    }

    /// The first round comes next.
    func begin() { (round, bytesSent, rounds) = (0, 0, 0) }

    /// This rank's message of `bytes` bytes, zeros, to be written before send().
    func message(_ bytes: Int) throws(KVSieveError) -> UnsafeMutableRawPointer {
        try reserve(bytes)
        size = 8 * Self.words(bytes)
        let start = try sent.reserve(Self.words(bytes))
        start.update(repeating: 0, count: Self.words(bytes))
        return UnsafeMutableRawPointer(start) + Self.headBytes
    }

    /// Sends the message; those of all ranks are there then.
    /// - Parameter failure: why this rank cannot go on: every rank throws it, this one among them.
    func send(_ failure: KVSieveError? = nil) throws(KVSieveError) {
        let message = UnsafeMutableRawPointer(try sent.reserve(1))
        let all = UnsafeMutableRawPointer(try received.reserve(1))
        let head = message.assumingMemoryBound(to: Int64.self)
        (head[0], head[1], head[2], head[3]) = (Self.mark, round, Int64(group.rank), Int64(size))
        head[4] = failure.map { Int64($0.kind.rawValue) } ?? -1
        if let failure { Self.write(failure.message, to: message + Self.sentence) }
        round += 1
        rounds += 1
        bytesSent += size
        isSending = true
        let status = group.allGather(UnsafeRawPointer(message), size, all)
        isSending = false
        guard status == 0 else {
            throw KVSieveError(.group, "group.all_gather returned \(status); expected 0")
        }
        for rank in 0..<group.ranks { try check(rank, all + rank * size) }
        // What was sent is what came.
        guard Self.areEqual(all + group.rank * size, message, words: size / 8) else {
            throw KVSieveError(.group, "group.all_gather: what came of rank \(group.rank) is not what it sent")
        }
        for rank in 0..<group.ranks { try throwFailure(of: rank, all + rank * size) }
    }

    /// Bytes from the message of a rank to that of the next.
    var stride: Int { size }

    /// The message of a rank, without its head.
    func message(of rank: Int) throws(KVSieveError) -> UnsafeRawPointer {
        UnsafeRawPointer(try received.reserve(1)) + rank * size + Self.headBytes
    }

    private func check(_ rank: Int, _ message: UnsafeMutableRawPointer) throws(KVSieveError) {
        let head = message.assumingMemoryBound(to: Int64.self)
        // Made when it is needed: a sentence is memory.
        func expected() -> String { "expected round \(round - 1), \(size) bytes" }
        guard head[0] == Self.mark else {
            throw KVSieveError(
                .group, "group.all_gather: what came of rank \(rank) is no message of this library; \(expected())")
        }
        guard head[1] == round - 1, head[2] == Int64(rank), head[3] == Int64(size) else {
            throw KVSieveError(
                .group,
                "group.all_gather: what came of rank \(rank) is of rank \(head[2]), round \(head[1]), \(head[3]) bytes;"
                    + " \(expected())")
        }
    }

    private func throwFailure(of rank: Int, _ message: UnsafeMutableRawPointer) throws(KVSieveError) {
        let kind = message.assumingMemoryBound(to: Int64.self)[4]
        if kind == -1 { return }
        let bytes = UnsafeRawBufferPointer(
            start: message + Self.sentence, count: Self.headBytes - Self.sentence)
        let text = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        throw KVSieveError(
            Int(exactly: kind).flatMap { KVSieveError.Kind(rawValue: $0) } ?? .group, "rank \(rank): \(text)")
    }

    private static func write(_ text: String, to target: UnsafeMutableRawPointer) {
        let most = headBytes - sentence - 1
        for (index, byte) in text.utf8.prefix(most).enumerated() {
            target.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
        }
    }

    private static func areEqual(_ one: UnsafeMutableRawPointer, _ other: UnsafeMutableRawPointer, words: Int) -> Bool {
        let (one, other) = (one.assumingMemoryBound(to: Int64.self), other.assumingMemoryBound(to: Int64.self))
        var different: Int64 = 0
        for word in 0..<words { different |= one[word] ^ other[word] }
        return different == 0
    }

    private static func words(_ bytes: Int) -> Int { (headBytes + bytes + 7) / 8 }
}
