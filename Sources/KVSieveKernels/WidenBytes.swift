// 8-bit floats and ggml's blocks of 8-bit and 4-bit numbers to 32-bit floats. source (n) bytes or (n / 32) blocks, target (n).
// Exact but for the blocks: a number of theirs is scale * q, rounded once, as ggml rounds it. NaN stays NaN.
//
// An 8-bit float, as widenHalfLane does it: the 7 bits below the sign, moved to a float's place by `shift`, want `bias` added to
// their exponent. Subnormals take one more and lose what that puts in front of them. From `special` on they are NaN or infinite.
import CSupport

@inline(__always)
private func widenLane(_ byte: UInt8, _ shift: UInt32, _ bias: UInt32, _ special: UInt32) -> Float {
    let magnitude = UInt32(byte & 0x7f) &<< shift
    var bits = magnitude &+ bias
    if magnitude < 0x0080_0000 {
        let front = bias &+ 0x0080_0000
        bits = (Float(bitPattern: magnitude &+ front) - Float(bitPattern: front)).bitPattern
    } else if magnitude >= special {
        bits |= 0x7f80_0000
    }
    return Float(bitPattern: bits | (UInt32(byte & 0x80) &<< 24))
}

@inline(__always)
private func widenLanes(_ bytes: LaneWords, _ shift: UInt32, _ bias: UInt32, _ special: UInt32) -> Lanes {
    let magnitude = (bytes & LaneWords(repeating: 0x7f)) &<< LaneWords(repeating: shift)
    let front = bias &+ 0x0080_0000
    let small =
        unsafeBitCast(magnitude &+ LaneWords(repeating: front), to: Lanes.self)
        - Lanes(repeating: Float(bitPattern: front))
    let normal = magnitude &+ LaneWords(repeating: bias)
    let finite = normal.replacing(
        with: unsafeBitCast(small, to: LaneWords.self), where: magnitude .< LaneWords(repeating: 0x0080_0000))
    let bits = finite.replacing(
        with: normal | LaneWords(repeating: 0x7f80_0000), where: magnitude .>= LaneWords(repeating: special))
    let sign = (bytes & LaneWords(repeating: 0x80)) &<< LaneWords(repeating: 24)
    return unsafeBitCast(bits | sign, to: Lanes.self)
}

@inline(__always)
private func widenFloat8(
    _ source: UnsafePointer<UInt8>, _ target: UnsafeMutablePointer<Float>, _ count: Int, _ shift: UInt32,
    _ bias: UInt32,
    _ special: UInt32
) {
    var j = 0
    while j &+ laneCount <= count {
        store(widenLanes(support_bytes(source + j), shift, bias, special), target + j)
        j &+= laneCount
    }
    while j < count {
        target[j] = widenLane(source[j], shift, bias, special)
        j &+= 1
    }
}

/// 4 bits of exponent, bias 7; 0x7f is NaN and nothing is infinite.
@inline(__always)
func widenFloat8E4M3(_ source: UnsafePointer<UInt8>, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    widenFloat8(source, target, count, 20, 0x3c00_0000, 0x07f0_0000)
}

/// 5 bits of exponent, bias 15, as float16; the greatest exponent is infinity or NaN.
@inline(__always)
func widenFloat8E5M2(_ source: UnsafePointer<UInt8>, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    widenFloat8(source, target, count, 21, 0x3800_0000, 0x0f80_0000)
}

/// The scale that a block begins with.
@inline(__always)
private func scale(_ block: UnsafePointer<UInt8>) -> Float {
    widenHalfLane(UnsafeRawPointer(block).loadUnaligned(as: UInt16.self))
}

/// Blocks of a float16 scale and 32 signed bytes.
@inline(__always)
func widenQ8(_ source: UnsafePointer<UInt8>, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var block = source
    var j = 0
    while j &+ 32 <= count {
        let scales = Lanes(repeating: scale(block))
        var i = 0
        while i < 32 {
            store(scales * support_signed_bytes_as_floats(block + (2 &+ i)), target + (j &+ i))
            i &+= laneCount
        }
        block += 34
        j &+= 32
    }
}

/// The same blocks for byte_columns: their bytes, each 128 too large, and their scales, apart.
@inline(__always)
func splitQ8(
    _ source: UnsafePointer<UInt8>, _ bytes: UnsafeMutablePointer<UInt8>, _ scales: UnsafeMutablePointer<Float>,
    _ count: Int
) {
    let offset: UInt64 = 0x8080_8080_8080_8080
    var block = source
    var j = 0
    while j &+ 32 <= count {
        scales[j &>> 5] = scale(block)
        let (from, to) = (UnsafeRawPointer(block), UnsafeMutableRawPointer(bytes + j))
        // All are read before one is written: else each would be by itself.
        let a = from.loadUnaligned(fromByteOffset: 2, as: UInt64.self) ^ offset
        let b = from.loadUnaligned(fromByteOffset: 10, as: UInt64.self) ^ offset
        let c = from.loadUnaligned(fromByteOffset: 18, as: UInt64.self) ^ offset
        let d = from.loadUnaligned(fromByteOffset: 26, as: UInt64.self) ^ offset
        to.storeBytes(of: a, toByteOffset: 0, as: UInt64.self)
        to.storeBytes(of: b, toByteOffset: 8, as: UInt64.self)
        to.storeBytes(of: c, toByteOffset: 16, as: UInt64.self)
        to.storeBytes(of: d, toByteOffset: 24, as: UInt64.self)
        block += 34
        j &+= 32
    }
}

/// Blocks of a float16 scale and 16 bytes: numbers 0 to 15 in the low halves, 16 to 31 in the high ones, each 8 too large.
@inline(__always)
func widenQ4(_ source: UnsafePointer<UInt8>, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    let eight = LaneWords(repeating: 8)
    var block = source
    var j = 0
    while j &+ 32 <= count {
        let scales = Lanes(repeating: scale(block))
        var i = 0
        while i < 16 {
            let bytes = support_bytes(block + (2 &+ i))
            let low = support_words_as_floats((bytes & LaneWords(repeating: 15)) &- eight)
            let high = support_words_as_floats((bytes &>> LaneWords(repeating: 4)) &- eight)
            store(scales * low, target + (j &+ i))
            store(scales * high, target + (j &+ i &+ 16))
            i &+= laneCount
        }
        block += 18
        j &+= 32
    }
}
