// Where the n-th best of all ranks' numbers lies, digit by digit of their keys: every rank counts its own numbers, and all add up
// the counters of all. Four rounds of at most 512 counters, whatever the number of tokens.

struct JoinedThreshold {
    /// Some bits of a key.
    struct Digit {
        let shift: UInt32
        let bits: UInt32
        var buckets: Int { 1 << Int(bits) }

        /// The first two are the bits that LayerQuota's buckets have.
        static func at(_ round: Int) -> Digit {
            switch round {
            case 0: return Digit(shift: 24, bits: 8)
            case 1: return Digit(shift: 18, bits: 6)
            case 2: return Digit(shift: 9, bits: 9)
            default: return Digit(shift: 0, bits: 9)
            }
        }
    }

    static let rounds = 4
    static let mostBuckets = 512

    /// Key of the n-th best.
    let key: UInt32
    /// How many are strictly better, less than n.
    let above: Int

    /// - Parameters:
    ///   - places: n, 1 ... entries.
    ///   - entries: how many numbers all ranks have.
    ///   - sums: mostBuckets counts of scratch.
    ///   - own: this rank's numbers.
    init(
        places: Int, of entries: Int, _ exchange: RankExchange, sums: UnsafeMutablePointer<Int>, _ own: inout OwnRanking
    ) throws(KVSieveError) {
        var prefix: UInt32 = 0
        var (above, inside) = (0, entries)
        for round in 0..<Self.rounds {
            let digit = Digit.at(round)
            own.count(digit, prefix, try exchange.message(8 * digit.buckets).assumingMemoryBound(to: Int.self))
            try exchange.send()
            try Self.add(exchange, digit, of: inside, to: sums)
            var bucket = digit.buckets - 1
            while bucket > 0, above + sums[bucket] < places {
                above += sums[bucket]
                bucket -= 1
            }
            inside = sums[bucket]
            prefix = prefix << digit.bits | UInt32(truncatingIfNeeded: bucket)
        }
        key = prefix
        self.above = above
    }

    /// The counters of all ranks, which are of so many numbers.
    private static func add(
        _ exchange: RankExchange, _ digit: Digit, of numbers: Int, to sums: UnsafeMutablePointer<Int>
    ) throws(KVSieveError) {
        sums.update(repeating: 0, count: digit.buckets)
        var left = numbers
        for rank in 0..<exchange.group.ranks {
            let counters = try exchange.message(of: rank).assumingMemoryBound(to: Int.self)
            for bucket in 0..<digit.buckets {
                guard (0...left).contains(counters[bucket]) else { throw exchange.nonsense(rank) }
                left -= counters[bucket]
                sums[bucket] += counters[bucket]
            }
        }
        guard left == 0 else { throw exchange.nonsense(nil) }
    }

    /// Adds the numbers of a row to the counters of a digit.
    static func count(
        _ row: UnsafeBufferPointer<Float>, _ digit: Digit, _ prefix: UInt32, _ counters: UnsafeMutablePointer<Int>
    ) {
        guard let start = row.baseAddress else { return }
        let mask = UInt32(digit.buckets - 1)
        // No key has more than 32 bits: shifted by 32 or more it is 0, as is the prefix before the first digit.
        for j in 0..<row.count {
            let key = RankKey.of(start[j])
            if key >> (digit.shift + digit.bits) == prefix { counters[Int(key >> digit.shift & mask)] &+= 1 }
        }
    }
}

extension RankExchange {
    /// What a rank says cannot be.
    func nonsense(_ rank: Int?) -> KVSieveError {
        KVSieveError(
            .group,
            "group.all_gather: what came of \(rank.map { "rank \($0)" } ?? "the ranks") in round \(rounds - 1) is not what"
                + " ranks of this plan send")
    }
}
