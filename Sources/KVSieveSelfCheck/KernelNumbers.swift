// Kernels that widen numbers: every 16-bit and 8-bit pattern that is a number, and blocks of ggml's.
import CSupport
import KVSieveCore

extension KernelCheck {
    /// widen_f16, widen_bf16, widen_f8_e4m3, widen_f8_e5m2.
    func widening() throws(KVSieveError) {
        let count = 4096
        var taken = room.all()
        let halves = try taken.take(count, of: UInt16.self)
        let bytes = try taken.take(256 + 3, of: UInt8.self)
        let out = try taken.floats(count)
        for first in stride(from: 0, to: 1 << 16, by: count - 3) {
            for index in 0..<count { halves[index] = UInt16(truncatingIfNeeded: first + index) }
            // An odd number of them, so that there is a rest.
            table.widen_f16(halves, out, Int64(count - 3))
            for index in 0..<count - 3 where halves[index] & 0x7c00 != 0x7c00 {
                try same("widen_f16", Int(halves[index]), out[index], number(Int(halves[index]), bits: 16, exponent: 5))
            }
            table.widen_bf16(halves, out, Int64(count - 3))
            for index in 0..<count - 3 where halves[index] & 0x7f80 != 0x7f80 {
                let exact = number(Int(halves[index]), bits: 16, exponent: 8)
                try same("widen_bf16", Int(halves[index]), out[index], exact)
            }
        }
        for index in 0..<256 + 3 { bytes[index] = UInt8(truncatingIfNeeded: index) }
        table.widen_f8_e4m3(bytes, out, 256 + 3)
        for index in 0..<256 + 3 where bytes[index] & 0x7f != 0x7f {
            try same("widen_f8_e4m3", index, out[index], number(Int(bytes[index]), bits: 8, exponent: 4))
        }
        table.widen_f8_e5m2(bytes, out, 256 + 3)
        for index in 0..<256 + 3 where bytes[index] & 0x7c != 0x7c {
            try same("widen_f8_e5m2", index, out[index], number(Int(bytes[index]), bits: 8, exponent: 5))
        }
    }

    /// What a pattern of sign, exponent and fraction means.
    private func number(_ pattern: Int, bits: Int, exponent width: Int) -> Double {
        let fractionBits = bits - 1 - width
        let exponent = pattern >> fractionBits & (1 << width - 1)
        let fraction = pattern & (1 << fractionBits - 1)
        let bias = 1 << (width - 1) - 1
        // A subnormal number has the exponent 1 and no leading 1.
        let whole = exponent == 0 ? fraction : fraction + 1 << fractionBits
        let magnitude = Double(
            sign: .plus, exponent: max(exponent, 1) - bias - fractionBits, significand: Double(whole))
        return pattern >> (bits - 1) == 1 ? -magnitude : magnitude
    }

    /// widen_q8_0, widen_q4_0, split_q8_0: three blocks.
    func blocks() throws(KVSieveError) {
        let blocks = 3
        var (taken, stream) = (room.all(), NumberStream(6))
        let bytes = try taken.take(blocks * 34, of: UInt8.self)
        let out = try taken.floats(blocks * 32)
        let apart = try taken.take(blocks * 32, of: UInt8.self)
        let scales = try taken.floats(blocks)
        /// Bytes of a block, after its scale; scales are normal and less than 2.
        func fill(_ size: Int) {
            for index in 0..<blocks * size { bytes[index] = UInt8(truncatingIfNeeded: stream.bits()) }
            for block in 0..<blocks { bytes[block * size + 1] = [0x20, 0xab, 0x36][block % 3] }
        }
        func scale(_ block: Int, _ size: Int) -> Double {
            number(Int(bytes[block * size]) | Int(bytes[block * size + 1]) << 8, bits: 16, exponent: 5)
        }
        fill(34)
        table.widen_q8_0(bytes, out, Int64(blocks * 32))
        table.split_q8_0(bytes, apart, scales, Int64(blocks * 32))
        for index in 0..<blocks * 32 {
            let (block, place) = (index / 32, index / 32 * 34 + 2 + index % 32)
            let byte = Int(Int8(bitPattern: bytes[place]))
            try same("widen_q8_0", index, out[index], scale(block, 34) * Double(byte))
            try same("split_q8_0", index, Int(apart[index]), byte + 128)
            try same("split_q8_0", block, scales[block], scale(block, 34))
        }
        fill(18)
        table.widen_q4_0(bytes, out, Int64(blocks * 32))
        for index in 0..<blocks * 32 {
            let (block, d) = (index / 32, index % 32)
            let byte = Int(bytes[block * 18 + 2 + d % 16])
            let four = (d < 16 ? byte & 15 : byte >> 4) - 8
            try same("widen_q4_0", index, out[index], scale(block, 18) * Double(four))
        }
    }
}
