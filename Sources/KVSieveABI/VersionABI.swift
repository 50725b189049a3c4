// Header sections Version and Status.
import CKVSieve
import CSupport
import KVSieveCore

/// The version of the library that is running; compare with KVSIEVE_VERSION.
///
/// Section: Version 1
/// - Returns: KVSIEVE_VERSION of the header it was built with
@_cdecl("kvsieve_version")
public func kvsieve_version() -> Int32 {
    Int32(KVSIEVE_VERSION_MAJOR * 10000 + KVSIEVE_VERSION_MINOR * 100 + KVSIEVE_VERSION_PATCH)
}

/// One line for a bug report: version, instruction set in use, the BLAS inside the library, compiler.
///
/// Section: Version 2
/// - Returns: text that lives as long as the process; never NULL
@_cdecl("kvsieve_build_info")
public func kvsieve_build_info() -> UnsafePointer<CChar>? { UnsafePointer(buildInfo) }

private nonisolated(unsafe) let buildInfo: UnsafeMutablePointer<CChar> = {
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

/// The code's own name, "KVSIEVE_ERR_SHAPE"; "unknown status" for any other value.
///
/// Section: Status 1
/// - Parameter status: what a call returned
/// - Returns: text that lives as long as the process; never NULL
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
    default: name = "unknown status"
    }
    return name.cString
}

/// What went wrong in this thread's last failed call, naming the argument, its value and what was expected.
/// A call that succeeds leaves it as it is.
///
/// Section: Status 2
/// - Returns: the sentence, "" if no call of this thread has failed; valid until this thread's next call; never NULL
@_cdecl("kvsieve_last_error")
public func kvsieve_last_error() -> UnsafePointer<CChar>? { support_last_error() }
