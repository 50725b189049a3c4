// Memory that can be refused, and what is as before when it was.
import Testing

@testable import KVSieveCore

@Suite struct BufferTests {
    @Test func reserveGivesAlignedMemoryAndKeepsIt() throws {
        let account = MemoryAccount()
        let buffer = Buffer<Float>(account)
        let first = try buffer.reserve(100)
        #expect(UInt(bitPattern: first) % 64 == 0)
        for j in 0..<100 { first[j] = Float(j) }
        #expect(try buffer.reserve(40) == first)
        #expect(try buffer.reserve(100) == first)
        #expect((0..<100).allSatisfy { first[$0] == Float($0) })
        #expect((account.held, account.highest, account.allocations) == (400, 400, 1))
    }

    @Test func growingTakesTheNewBeforeTheOldIsGiven() throws {
        let account = MemoryAccount()
        let buffer = Buffer<Int32>(account)
        try buffer.reserve(10)
        try buffer.reserve(20)
        #expect((account.held, account.highest, account.allocations) == (80, 120, 2))
        #expect(buffer.capacity == 20)
    }

    @Test func theLimitIsTheLastByte() throws {
        try Buffer<UInt8>(MemoryAccount(limit: 64)).reserve(64)
        expectRefusal(.memory, "out of memory: 65 bytes were asked for, 0 are held by this plan") {
            try Buffer<UInt8>(MemoryAccount(limit: 64)).reserve(65)
        }
    }

    @Test func aRefusedBufferIsAsItWas() throws {
        let account = MemoryAccount(limit: 100)
        let buffer = Buffer<Float>(account)
        let memory = try buffer.reserve(15)
        for j in 0..<15 { memory[j] = Float(j) }
        expectRefusal(.memory, "out of memory: 64 bytes were asked for, 60 are held by this plan") {
            try buffer.reserve(16)
        }
        #expect(buffer.capacity == 15)
        #expect(try buffer.reserve(15) == memory)
        #expect((0..<15).allSatisfy { memory[$0] == Float($0) })
        #expect((account.held, account.allocations) == (60, 1))
    }

    @Test func aCountThatOverflowsIsRefused() {
        let account = MemoryAccount()
        expectRefusal(.memory, "out of memory: \(Int.max / 2) elements were asked for") {
            try Buffer<Float>(account).reserve(Int.max / 2)
        }
        let held = refusal { try Buffer<UInt8>(account).reserve(Int.max) }
        #expect(held?.kind == .memory)
        #expect((account.held, account.allocations) == (0, 0))
    }

    @Test func whatIsHeldPlusWhatIsAskedForMayNotOverflow() throws {
        let account = MemoryAccount()
        let small = Buffer<UInt8>(account)
        try small.reserve(100)
        #expect(refusal { try Buffer<UInt8>(account).reserve(Int.max - 50) }?.kind == .memory)
        #expect(account.held == 100)
    }

    @Test func noElementsAreRoomForOne() throws {
        let account = MemoryAccount()
        let buffer = Buffer<Int>(account)
        try buffer.reserve(0)
        #expect((account.held, buffer.capacity) == (8, 1))
    }

    @Test func theAccountIsEmptyWhenTheBuffersAreGone() throws {
        let account = MemoryAccount()
        do {
            let buffers = (1...10).map { _ in Buffer<Int>(account) }
            for (count, buffer) in buffers.enumerated() { try buffer.reserve(count * 10) }
            withExtendedLifetime(buffers) { #expect(account.held > 0) }
        }
        #expect(account.held == 0)
    }
}
