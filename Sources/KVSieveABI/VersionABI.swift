// Header sections Version and Status. What each function promises: kvsieve.h.in.
import CKVSieve
import CSupport
import KVSieveCore

@_cdecl("kvsieve_version")
public func kvsieve_version() -> Int32 {
    Int32(KVSIEVE_VERSION_MAJOR * 10000 + KVSIEVE_VERSION_MINOR * 100 + KVSIEVE_VERSION_PATCH)
}

@_cdecl("kvsieve_build_info")
public func kvsieve_build_info() -> UnsafePointer<CChar>? {
    withGlobals { UnsafePointer(buildInfo) }
}

nonisolated(unsafe) let buildInfo: UnsafeMutablePointer<CChar> = {
    #if compiler(>=6.3)
    let compiler = "Swift 6.3 or later"
    #elseif compiler(>=6.1)
    let compiler = "Swift 6.1"
    #else
    let compiler = "Swift 6.0"
    #endif
    let version = "\(KVSIEVE_VERSION_MAJOR).\(KVSIEVE_VERSION_MINOR).\(KVSIEVE_VERSION_PATCH)"
    let text = "kvsieve \(version), \(instructionSet), \(linearAlgebraDescription), \(compiler)"
    let bytes = Array(text.utf8CString)
    let memory = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
    memory.initialize(from: bytes, count: bytes.count)
    return memory
}()

@_cdecl("kvsieve_status_name")
public func kvsieve_status_name(_ status: kvsieve_status) -> UnsafePointer<CChar>? {
    let name: StaticString
    switch Int(status) {
    case KVSIEVE_OK: name = "KVSIEVE_OK"
    case KVSIEVE_ERR_NULL: name = "KVSIEVE_ERR_NULL"
    case KVSIEVE_ERR_SHAPE: name = "KVSIEVE_ERR_SHAPE"
    case KVSIEVE_ERR_LAYOUT: name = "KVSIEVE_ERR_LAYOUT"
    case KVSIEVE_ERR_DTYPE: name = "KVSIEVE_ERR_DTYPE"
    case KVSIEVE_ERR_METHOD: name = "KVSIEVE_ERR_METHOD"
    case KVSIEVE_ERR_PARAMETER: name = "KVSIEVE_ERR_PARAMETER"
    case KVSIEVE_ERR_STATE: name = "KVSIEVE_ERR_STATE"
    case KVSIEVE_ERR_BUDGET: name = "KVSIEVE_ERR_BUDGET"
    case KVSIEVE_ERR_NONFINITE: name = "KVSIEVE_ERR_NONFINITE"
    case KVSIEVE_ERR_MEMORY: name = "KVSIEVE_ERR_MEMORY"
    case KVSIEVE_ERR_GROUP: name = "KVSIEVE_ERR_GROUP"
    case KVSIEVE_ERR_BROKEN: name = "KVSIEVE_ERR_BROKEN"
    default: name = "unknown status"
    }
    return name.cString
}

@_cdecl("kvsieve_last_error")
public func kvsieve_last_error() -> UnsafePointer<CChar>? { support_last_error() }

@_cdecl("kvsieve_plan_error")
public func kvsieve_plan_error(_ plan: UnsafePointer<kvsieve_plan>?) -> UnsafePointer<CChar>? {
    message(plan) ?? ("" as StaticString).cString
}
