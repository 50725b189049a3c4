// 16-bit floats to 32-bit, exactly. source (n), target (n). NaN and infinity are kept.

/// bfloat16 is the upper half of a float.
@inline(__always)
func widenBrain(_ source: UnsafePointer<UInt16>, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var j = 0
    while j &+ laneCount <= count {
        let bits = UnsafeRawPointer(source + j).loadUnaligned(as: LaneHalves.self)
        let words = LaneWords(truncatingIfNeeded: bits) &<< LaneWords(repeating: 16)
        store(unsafeBitCast(words, to: Lanes.self), target + j)
        j &+= laneCount
    }
    while j < count {
        target[j] = Float(bitPattern: UInt32(source[j]) &<< 16)
        j &+= 1
    }
}

/// binary16 by integer arithmetic: the 15 bits below the sign, moved to a float's place, want 112 added to their exponent.
/// Subnormals (exponent 0) take 113 and lose the 2^-14 which that puts in front of them: no float here is subnormal, so the
/// host's flush-to-zero modes change nothing. Exponent 31, infinity or NaN, becomes 255.
@inline(__always)
func widenHalfLane(_ half: UInt16) -> Float {
    let magnitude = UInt32(half & 0x7fff) &<< 13
    var bits = magnitude &+ 0x3800_0000
    if magnitude < 0x0080_0000 {
        bits = (Float(bitPattern: magnitude &+ 0x3880_0000) - Float(bitPattern: 0x3880_0000)).bitPattern
    } else if magnitude >= 0x0f80_0000 {
        bits |= 0x7f80_0000
    }
    return Float(bitPattern: bits | (UInt32(half & 0x8000) &<< 16))
}

#if !SIMD_256 && !SIMD_512
@inline(__always)
private func widenHalfLanes(_ halves: LaneHalves) -> Lanes {
    let words = LaneWords(truncatingIfNeeded: halves)
    let magnitude = (words & LaneWords(repeating: 0x7fff)) &<< LaneWords(repeating: 13)
    let shift = Lanes(repeating: Float(bitPattern: 0x3880_0000))
    let small = unsafeBitCast(magnitude &+ LaneWords(repeating: 0x3880_0000), to: Lanes.self) - shift
    let normal = magnitude &+ LaneWords(repeating: 0x3800_0000)
    let finite = normal.replacing(
        with: unsafeBitCast(small, to: LaneWords.self), where: magnitude .< LaneWords(repeating: 0x0080_0000))
    let bits = finite.replacing(
        with: normal | LaneWords(repeating: 0x7f80_0000), where: magnitude .>= LaneWords(repeating: 0x0f80_0000))
    let sign = (words & LaneWords(repeating: 0x8000)) &<< LaneWords(repeating: 16)
    return unsafeBitCast(bits | sign, to: Lanes.self)
}
#endif

@inline(__always)
func widenHalf(_ source: UnsafePointer<UInt16>, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var j = 0
    while j &+ laneCount <= count {
        let halves = UnsafeRawPointer(source + j).loadUnaligned(as: LaneHalves.self)
        #if SIMD_512
        store(Lanes(unsafeBitCast(halves, to: SIMD16<Float16>.self)), target + j)
        #elseif SIMD_256
        store(Lanes(unsafeBitCast(halves, to: SIMD8<Float16>.self)), target + j)
        #else
        store(widenHalfLanes(halves), target + j)
        #endif
        j &+= laneCount
    }
    while j < count {
        target[j] = widenHalfLane(source[j])
        j &+= 1
    }
}
