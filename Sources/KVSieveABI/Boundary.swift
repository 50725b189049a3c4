// The conventions of the C API, once: typed errors become a status and this thread's sentence, NULL becomes an error, a
// handle becomes a plan, the host's floating-point mode becomes the default's. The only place where the kinds of failure meet the
// C codes.
import CKVSieve
import CSupport
import KVSieveCore

/// Bytes that the Swift runtime may ask for in a call without a plan. Tests/ABI/denied.c counts what it asks for.
let needOfCall = 16 << 10
/// What a call of a plan of so many layers, heads and threads may ask for beside it.
func needOfPlan(layers: Int, heads: Int, threads: Int = 1) -> Int { layers * (6144 + 128 * heads) + threads * 6144 }

private func need(_ plan: Plan) -> Int {
    needOfCall + needOfPlan(layers: plan.model.layers, heads: plan.model.heads, threads: plan.threads)
}

/// Runs a call, in the default floating-point mode. On failure its sentence becomes this thread's last error.
/// - Parameter need: bytes that the Swift runtime may ask for, which ends the process if it is refused them.
func boundary(need: Int = needOfCall, _ body: () throws(KVSieveError) -> Void) -> kvsieve_status {
    let mode = support_exchange_mode(support_default_mode())
    defer { _ = support_exchange_mode(mode) }
    var call = support_call()
    guard support_call_begin(&call, need) == 1 else { return noRoom() }
    defer { support_call_end(&call) }
    guard makeGlobals() else { return noRoom() }
    do throws(KVSieveError) {
        try body()
        return kvsieve_status(KVSIEVE_OK)
    } catch {
        withText(error.message, support_set_last_error)
        return status(error.kind)
    }
}

/// A part of a call, for which the Swift runtime may ask for so many bytes more: they are known when arguments have been checked.
func withRoom(_ need: Int, _ body: () throws(KVSieveError) -> Void) throws(KVSieveError) {
    var part = support_call()
    guard support_call_begin(&part, need) == 1 else { throw KVSieveError(.memory, "out of memory: no room for a plan") }
    defer { support_call_end(&part) }
    try body()
}

/// The floating-point mode outside boundary().
func hostMode() -> UInt64 {
    let mode = support_exchange_mode(support_default_mode())
    _ = support_exchange_mode(mode)
    return mode
}

/// Runs a call of a plan. On failure its sentence becomes this thread's last error, and the plan's.
func boundary(
    _ handle: UnsafePointer<kvsieve_plan>?, _ body: (Plan) throws(KVSieveError) -> Void
) -> kvsieve_status {
    var begun = false
    let need = isPlan(handle) ? handle?.pointee.need : nil
    let status = boundary(need: need ?? needOfCall) { () throws(KVSieveError) in
        begun = true
        let plan = try borrow(handle)
        let calls = try enter(handle)
        defer { support_plan_leave(calls) }
        do throws(KVSieveError) {
            guard !plan.isInCollective else {
                throw KVSieveError(
                    .state, "the plan was called from its own all_gather; expected no call before finish returns")
            }
            try body(plan)
        } catch {
            // Calls that fail at the same time write one after another.
            plan.locked {
                if let room = handle?.pointee.message {
                    withText(error.message) { support_copy_message(room, $0, $1) }
                }
            }
            throw error
        }
    }
    if !begun, let room = handle?.pointee.message, isPlan(handle), let calls = try? enter(handle) {
        withNoRoom { support_copy_message(room, $0, $1) }
        support_plan_leave(calls)
    }
    return status
}

/// A call on the plan begins. One that was running on another thread when this process was forked never ends: the plan is half
/// changed, and maybe locked.
private func enter(_ handle: UnsafePointer<kvsieve_plan>?) throws(KVSieveError) -> UnsafeMutablePointer<UInt64> {
    guard let calls = handle?.pointee.calls, support_plan_enter(calls) == 1 else {
        throw KVSieveError(
            .state, "plan was in a call of another thread when this process was forked; expected destroy")
    }
    return calls
}

/// Of a call that cannot begin: nothing is made for it.
private func noRoom() -> kvsieve_status {
    withNoRoom(support_set_last_error)
    return status(.memory)
}

private func withNoRoom(_ body: (UnsafePointer<CChar>, Int) -> Void) {
    let text: StaticString = "out of memory: no room for a call"
    if let start = text.cString { body(start, text.utf8CodeUnitCount) }
}

private func withText(_ text: String, _ body: (UnsafePointer<CChar>, Int) -> Void) {
    var text = text
    text.withUTF8 { bytes in
        bytes.withMemoryRebound(to: CChar.self) {
            if let start = $0.baseAddress { body(start, $0.count) }
        }
    }
}

private func status(_ kind: KVSieveError.Kind) -> kvsieve_status {
    switch kind {
    case .null: return kvsieve_status(KVSIEVE_ERR_NULL)
    case .shape: return kvsieve_status(KVSIEVE_ERR_SHAPE)
    case .layout: return kvsieve_status(KVSIEVE_ERR_LAYOUT)
    case .dtype: return kvsieve_status(KVSIEVE_ERR_DTYPE)
    case .method: return kvsieve_status(KVSIEVE_ERR_METHOD)
    case .parameter: return kvsieve_status(KVSIEVE_ERR_PARAMETER)
    case .state: return kvsieve_status(KVSIEVE_ERR_STATE)
    case .budget: return kvsieve_status(KVSIEVE_ERR_BUDGET)
    case .nonfinite: return kvsieve_status(KVSIEVE_ERR_NONFINITE)
    case .memory: return kvsieve_status(KVSIEVE_ERR_MEMORY)
    case .group: return kvsieve_status(KVSIEVE_ERR_GROUP)
    case .broken: return kvsieve_status(KVSIEVE_ERR_BROKEN)
    }
}

func required<Pointee>(
    _ pointer: UnsafePointer<Pointee>?, _ name: StaticString
) throws(KVSieveError) -> UnsafePointer<Pointee> {
    guard let pointer else { throw KVSieveError(.null, "\(name) is NULL") }
    return pointer
}

func required<Pointee>(
    _ pointer: UnsafeMutablePointer<Pointee>?, _ name: StaticString
) throws(KVSieveError) -> UnsafeMutablePointer<Pointee> {
    guard let pointer else { throw KVSieveError(.null, "\(name) is NULL") }
    return pointer
}

/// Marks the memory of a plan that was not destroyed.
private let planMagic: UInt64 = 0x6b76_7369_6576_6531

/// Hands a plan out; the handle owns it until close().
func open(_ plan: Plan) throws(KVSieveError) -> UnsafeMutablePointer<kvsieve_plan> {
    let size = MemoryLayout<kvsieve_plan>.size
    let callsSize = MemoryLayout<UInt64>.size
    guard let memory = support_allocate(size + callsSize + Int(SUPPORT_MESSAGE_BYTES)) else {
        throw KVSieveError(.memory, "out of memory: no room for a plan")
    }
    let handle = memory.bindMemory(to: kvsieve_plan.self, capacity: 1)
    let calls = (memory + size).bindMemory(to: UInt64.self, capacity: 1)
    let message = (memory + size + callsSize).bindMemory(to: CChar.self, capacity: Int(SUPPORT_MESSAGE_BYTES))
    calls.pointee = 0
    message.pointee = 0
    handle.initialize(
        to: kvsieve_plan(
            magic: planMagic, impl: Unmanaged.passRetained(plan).toOpaque(), message: message, calls: calls,
            need: need(plan), host_mode: support_default_mode()))
    return handle
}

/// Its parameters have changed.
func renewNeed(_ handle: UnsafeMutablePointer<kvsieve_plan>?, _ plan: Plan) { handle?.pointee.need = need(plan) }

private func isPlan(_ handle: UnsafePointer<kvsieve_plan>?) -> Bool { handle?.pointee.magic == planMagic }

func borrow(_ handle: UnsafePointer<kvsieve_plan>?) throws(KVSieveError) -> Plan {
    let handle = try required(handle, "plan")
    guard handle.pointee.magic == planMagic, let plan = handle.pointee.impl else {
        throw KVSieveError(.null, "plan is not a plan, or was destroyed")
    }
    return Unmanaged<Plan>.fromOpaque(plan).takeUnretainedValue()
}

/// The sentence of the plan's last failed call; nil if it is no plan.
func message(_ handle: UnsafePointer<kvsieve_plan>?) -> UnsafePointer<CChar>? {
    guard let handle, handle.pointee.magic == planMagic else { return nil }
    return UnsafePointer(handle.pointee.message)
}

func close(_ handle: UnsafeMutablePointer<kvsieve_plan>?) {
    guard let handle, handle.pointee.magic == planMagic, let plan = handle.pointee.impl,
        !Unmanaged<Plan>.fromOpaque(plan).takeUnretainedValue().isInCollective
    else { return }
    handle.pointee.magic = 0
    // Nobody knows what a call that never ends holds: the memory stays.
    guard let calls = handle.pointee.calls, support_plan_enter(calls) == 1 else { return }
    handle.pointee.impl = nil
    handle.pointee.message = nil
    Unmanaged<Plan>.fromOpaque(plan).release()
    support_free(handle)
}

/// What a struct that begins with struct_size holds. One of another size is not read beyond its first four bytes.
func read<Argument>(
    _ argument: UnsafePointer<Argument>?, _ name: StaticString
) throws(KVSieveError) -> Argument {
    let pointer = try required(argument, name)
    let size = UnsafeRawPointer(pointer).load(as: UInt32.self)
    guard Int(size) == MemoryLayout<Argument>.size else {
        throw KVSieveError(
            .parameter, "\(name).struct_size is \(size); expected sizeof, \(MemoryLayout<Argument>.size)")
    }
    return pointer.pointee
}

/// Fills a struct that begins with struct_size: a caller with an older, shorter one gets the fields it has room for.
/// - Parameter smallest: size of the first published version.
func fill<Info>(
    _ target: UnsafeMutablePointer<Info>?, _ name: StaticString, smallest: Int,
    _ make: (UInt32) throws(KVSieveError) -> Info
) throws(KVSieveError) {
    let target = try required(target, name)
    let given = UnsafeRawPointer(target).load(as: UInt32.self)
    guard Int(given) >= smallest else {
        throw KVSieveError(
            .parameter, "\(name).struct_size is \(given); expected sizeof, at least \(smallest)")
    }
    let size = min(Int(given), MemoryLayout<Info>.size)
    let info = try make(UInt32(truncatingIfNeeded: size))
    withUnsafeBytes(of: info) { bytes in
        if let start = bytes.baseAddress { UnsafeMutableRawPointer(target).copyMemory(from: start, byteCount: size) }
    }
}

extension StaticString {
    /// The text for C, valid as long as the process.
    var cString: UnsafePointer<CChar>? {
        hasPointerRepresentation ? UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self) : nil
    }
}
