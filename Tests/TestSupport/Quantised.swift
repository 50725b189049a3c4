// 8-bit floats and ggml's blocks as their definitions have them, one number at a time.
import Foundation
import KVSieveCore

/// Types whose numbers are narrower than 16 bits.
public let narrowTypes: [ElementType] = [.float8e4m3, .float8e5m2, .q8, .q4]

/// (-1)^s * 2^(e - bias) * (1 + m / 2^bits), or for e = 0 (-1)^s * 2^(1 - bias) * m / 2^bits.
private func number(_ byte: UInt8, mantissaBits: Int, bias: Int) -> Float {
    let (e, m) = (Int(byte & 0x7f) >> mantissaBits, Int(byte) & (1 << mantissaBits - 1))
    let fraction = Double(m) / Double(1 << mantissaBits)
    let magnitude = e == 0 ? scalbn(fraction, 1 - bias) : scalbn(1 + fraction, e - bias)
    return Float(byte >= 0x80 ? -magnitude : magnitude)
}

/// OCP 8-bit floating point, E4M3.
public func float8e4m3(_ byte: UInt8) -> Float {
    byte & 0x7f == 0x7f ? .nan : number(byte, mantissaBits: 3, bias: 7)
}

/// OCP 8-bit floating point, E5M2.
public func float8e5m2(_ byte: UInt8) -> Float {
    let magnitude = byte & 0x7f
    if magnitude > 0x7c { return .nan }
    if magnitude == 0x7c { return byte >= 0x80 ? -.infinity : .infinity }
    return number(byte, mantissaBits: 2, bias: 15)
}

/// The numbers of a row's bytes.
public func decoded(_ type: ElementType, _ row: [UInt8]) -> [Float] {
    switch type {
    case .float8e4m3: return row.map(float8e4m3)
    case .float8e5m2: return row.map(float8e5m2)
    case .q8, .q4:
        return stride(from: 0, to: row.count, by: type.size).flatMap { first -> [Float] in
            let scale = Float(Float16(bitPattern: UInt16(row[first]) | UInt16(row[first + 1]) << 8))
            let numbers = row[(first + 2)..<(first + type.size)]
            if type == .q8 { return numbers.map { scale * Float(Int8(bitPattern: $0)) } }
            return numbers.map { scale * Float(Int($0 & 15) - 8) } + numbers.map { scale * Float(Int($0 >> 4) - 8) }
        }
    case .float32, .float16, .bfloat16, .bytes: fatalError("no narrow type: \(type.name)")
    }
}

extension SplitMix {
    public mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

    /// A row of finite numbers of up to about 2 in size.
    public mutating func row(_ type: ElementType, _ dim: Int) -> [UInt8] {
        var row = bytes(type.rowBytes(dim))
        switch type {
        case .float8e4m3: row = row.map { $0 & 0x80 | ($0 & 0x7f) % 0x40 }
        case .float8e5m2: row = row.map { $0 & 0x80 | ($0 & 0x7f) % 0x40 }
        case .q8, .q4:
            // A scale of 1/128 to 1/64, or of 1/8 to 1/4, low byte first.
            for first in stride(from: 0, to: row.count, by: type.size) {
                row[first + 1] = (type == .q8 ? 0x20 : 0x30) | row[first + 1] & 3
            }
        case .float32, .float16, .bfloat16, .bytes: break
        }
        return row
    }
}

extension Tensor {
    /// Of random rows of a narrow type, and a tensor of the same numbers as float32, head-major.
    public static func narrow(
        heads: Int, tokens: Int, dim: Int, _ type: ElementType, _ layout: Layout = .headMajor, seed: UInt64
    ) -> (narrow: Tensor, floats: Tensor) {
        var random = SplitMix(seed)
        let tensor = Tensor(heads: heads, tokens: tokens, dim: dim, type, layout)
        var numbers: [Float] = []
        for head in 0..<heads {
            for token in 0..<tokens {
                let row = random.row(type, dim)
                tensor.set(head, token, row: row)
                numbers += decoded(type, row)
            }
        }
        return (tensor, Tensor(numbers, heads: heads, tokens: tokens, dim: dim))
    }
}
