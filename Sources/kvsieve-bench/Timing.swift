// Clocks and what is made of their readings. Work that is compared is timed in turns, sample by sample: on a machine that
// others use too, noise then hits all alike, and a ratio is the median of the ratios of neighbours.
#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

struct Instant {
    let cpu: Double
    let wall: Double

    /// Processor time of all threads, and the time of day, in seconds.
    static func now() -> Instant {
        Instant(cpu: read(CLOCK_PROCESS_CPUTIME_ID), wall: read(CLOCK_MONOTONIC))
    }

    static func read(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    /// Processor time alone: one call of the system, for stages that last microseconds.
    static func processor() -> Double { read(CLOCK_PROCESS_CPUTIME_ID) }
}

/// Samples of one piece of work, in seconds.
struct Series {
    var cpu: [Double] = []
    var wall: [Double] = []

    mutating func add(from begin: Instant, to end: Instant) {
        cpu.append(end.cpu - begin.cpu)
        wall.append(end.wall - begin.wall)
    }
}

func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    guard let last = sorted.last else { return 0 }
    let half = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[half] : ((half > 0 ? sorted[half - 1] : last) + sorted[half]) / 2
}

func medianRatio(_ numerators: [Double], _ denominators: [Double]) -> Double {
    median(zip(numerators, denominators).map { $0 / $1 })
}

/// Each body once to warm up, then all of them in turns, `count` times. `before` runs ahead of each sample, untimed.
func inTurns(
    _ count: Int, before: () -> Void = {}, _ bodies: [() throws -> Void]
) throws -> [Series] {
    for body in bodies { try body() }
    var series = bodies.map { _ in Series() }
    for _ in 0..<count {
        for (index, body) in bodies.enumerated() {
            before()
            let begin = Instant.now()
            try body()
            series[index].add(from: begin, to: Instant.now())
        }
    }
    return series
}

/// Today as 2026-11-21.
func today() -> String {
    var seconds = time(nil)
    var parts = tm()
    localtime_r(&seconds, &parts)
    let month = Int(parts.tm_mon) + 1
    let day = Int(parts.tm_mday)
    return "\(1900 + Int(parts.tm_year))-\(month < 10 ? "0" : "")\(month)-\(day < 10 ? "0" : "")\(day)"
}

/// Lines of a small file of the system's; none where there is no such file.
func lines(of path: String) -> [String] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var found: [String] = []
    var buffer = [CChar](repeating: 0, count: 4096)
    while fgets(&buffer, Int32(buffer.count), file) != nil {
        found.append(
            String(decoding: buffer.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }
    return found
}

/// Out at once: a table a minute is watched as it grows.
func flush() { fflush(nil) }

func leave(_ sentence: String) -> Never {
    let line = Array("kvsieve-bench: \(sentence)\n".utf8)
    _ = write(2, line, line.count)
    exit(2)
}
