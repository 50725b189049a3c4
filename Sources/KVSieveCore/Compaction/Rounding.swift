// A double to the nearest number of a tensor's type, ties to even, in one rounding. Beyond the type's range it is infinity.

enum Rounding {
    @inline(__always) static func float32(_ x: Double) -> Float { Float(x) }

    /// bfloat16: a float without its lower half.
    @inline(__always) static func bfloat16(_ x: Double) -> UInt16 {
        let bits = sticky(x)
        if bits & 0x7fff_ffff > 0x7f80_0000 { return UInt16(truncatingIfNeeded: bits &>> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ (bits &>> 16 & 1)) &>> 16)
    }

    /// binary16: exponents are less by 112, and 13 bits fewer are kept.
    @inline(__always) static func float16(_ x: Double) -> UInt16 {
        let bits = sticky(x)
        let sign = UInt16(truncatingIfNeeded: bits &>> 16) & 0x8000
        let magnitude = bits & 0x7fff_ffff
        if magnitude > 0x7f80_0000 { return sign | 0x7e00 }
        // 65536, beyond what rounds to the greatest number.
        if magnitude >= 0x4780_0000 { return sign | 0x7c00 }
        // Below 2^-14 are multiples of 2^-24: those are what a float from 0.5 on has, so the sum rounds to them.
        if magnitude < 0x3880_0000 {
            let sum = Float(bitPattern: magnitude) + 0.5
            return sign | UInt16(truncatingIfNeeded: sum.bitPattern &- 0x3f00_0000)
        }
        let shifted = magnitude &- 0x3800_0000
        return sign | UInt16(truncatingIfNeeded: (shifted &+ 0x0fff &+ (shifted &>> 13 & 1)) &>> 13)
    }

    /// The bits of `x` as a float towards zero, whose last bit is set if something was cut off: a tie after that is one of `x`
    /// too, and rounding again to fewer bits is rounding once. Without branches: they would go either way at random.
    @inline(__always) private static func sticky(_ x: Double) -> UInt32 {
        let nearest = Float(x)
        let back = Double(nearest)
        let over: UInt32 = back.magnitude > x.magnitude ? 1 : 0
        let inexact: UInt32 = back == x ? 0 : 1
        return (nearest.bitPattern &- over) | inexact
    }
}
