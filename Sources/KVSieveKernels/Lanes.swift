// The vector type of this compile and the few operations on it that Swift's own spelling makes slow.
//
// This folder is compiled four times on x86-64 (baseline, AVX2+FMA+F16C, AVX-512, AVX512-BF16: see Package.swift). It must not use
// arrays, sorting or other generics of the standard library: their specialisations are weak symbols, and the linker would keep one
// of the four for all.

#if SIMD_512
typealias Lanes = SIMD16<Float>
typealias LaneBits = SIMD16<Int32>
typealias LaneHalves = SIMD16<UInt16>
typealias LaneWords = SIMD16<UInt32>
@inline(__always) var laneCount: Int { 16 }
#elseif SIMD_256
typealias Lanes = SIMD8<Float>
typealias LaneBits = SIMD8<Int32>
typealias LaneHalves = SIMD8<UInt16>
typealias LaneWords = SIMD8<UInt32>
@inline(__always) var laneCount: Int { 8 }
#else
typealias Lanes = SIMD4<Float>
typealias LaneBits = SIMD4<Int32>
typealias LaneHalves = SIMD4<UInt16>
typealias LaneWords = SIMD4<UInt32>
@inline(__always) var laneCount: Int { 4 }
#endif

@inline(__always) func load(_ pointer: UnsafePointer<Float>) -> Lanes {
    UnsafeRawPointer(pointer).loadUnaligned(as: Lanes.self)
}

@inline(__always) func store(_ lanes: Lanes, _ pointer: UnsafeMutablePointer<Float>) {
    UnsafeMutableRawPointer(pointer).storeBytes(of: lanes, as: Lanes.self)
}

/// a * b + c, fused where the instruction exists. Without it `addingProduct` would be a libm call a lane.
@inline(__always) func multiplyAdd(_ a: Lanes, _ b: Lanes, _ c: Lanes) -> Lanes {
    #if SIMD_256 || SIMD_512 || arch(arm64)
    return c.addingProduct(a, b)
    #else
    return a * b + c
    #endif
}

/// The same of one number: fused if the lanes' is, so that the numbers after the last whole vector are rounded alike.
@inline(__always) func multiplyAdd(_ a: Float, _ b: Float, _ c: Float) -> Float {
    #if SIMD_256 || SIMD_512 || arch(arm64)
    return c.addingProduct(a, b)
    #else
    return a * b + c
    #endif
}

/// The greater lane by lane; a NaN in `b` is ignored.
@inline(__always) func greater(_ a: Lanes, _ b: Lanes) -> Lanes { a.replacing(with: b, where: b .> a) }

/// Sum over the lanes, halves first: one fixed order.
@inline(__always) func total(_ lanes: Lanes) -> Float {
    #if SIMD_512
    let eight = lanes.lowHalf + lanes.highHalf
    let four = eight.lowHalf + eight.highHalf
    #elseif SIMD_256
    let four = lanes.lowHalf + lanes.highHalf
    #else
    let four = lanes
    #endif
    let two = four.lowHalf + four.highHalf
    return two.x + two.y
}

/// Sum over the lanes.
@inline(__always) func total(_ lanes: LaneBits) -> Int {
    #if SIMD_512
    let eight = lanes.lowHalf &+ lanes.highHalf
    let four = eight.lowHalf &+ eight.highHalf
    #elseif SIMD_256
    let four = lanes.lowHalf &+ lanes.highHalf
    #else
    let four = lanes
    #endif
    let two = four.lowHalf &+ four.highHalf
    return Int(two.x &+ two.y)
}

/// Greatest lane.
@inline(__always) func greatest(_ lanes: Lanes) -> Float {
    #if SIMD_512
    let eight = lanes.lowHalf.replacing(with: lanes.highHalf, where: lanes.highHalf .> lanes.lowHalf)
    let four = eight.lowHalf.replacing(with: eight.highHalf, where: eight.highHalf .> eight.lowHalf)
    #elseif SIMD_256
    let four = lanes.lowHalf.replacing(with: lanes.highHalf, where: lanes.highHalf .> lanes.lowHalf)
    #else
    let four = lanes
    #endif
    let two = four.lowHalf.replacing(with: four.highHalf, where: four.highHalf .> four.lowHalf)
    return two.y > two.x ? two.y : two.x
}

/// Is the mask set in any lane?
@inline(__always) func isAny(_ mask: SIMDMask<LaneBits>) -> Bool {
    #if SIMD_512
    let eight = unsafeBitCast(mask, to: SIMD8<UInt64>.self)
    let four = eight.lowHalf | eight.highHalf
    let two = four.lowHalf | four.highHalf
    #elseif SIMD_256
    let four = unsafeBitCast(mask, to: SIMD4<UInt64>.self)
    let two = four.lowHalf | four.highHalf
    #else
    let two = unsafeBitCast(mask, to: SIMD2<UInt64>.self)
    #endif
    return two.x | two.y != 0
}
