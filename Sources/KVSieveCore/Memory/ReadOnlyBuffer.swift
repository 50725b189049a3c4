// Numbers in memory that the core keeps and uses again, to be read: what a method is given in place of a pointer. Inlinable,
// so that the methods' module has loops over it and not calls of a generic collection, whose metadata is made on the heap.

@frozen public struct ReadOnlyBuffer<Element: BitwiseCopyable & Sendable>: RandomAccessCollection, @unchecked Sendable {
    @usableFromInline let memory: UnsafeBufferPointer<Element>

    init(_ start: UnsafePointer<Element>?, _ count: Int) {
        memory = UnsafeBufferPointer(start: start, count: start == nil ? 0 : count)
    }

    /// None.
    public init() { self.init(nil, 0) }

    @inlinable public var startIndex: Int { 0 }
    @inlinable public var endIndex: Int { memory.count }
    @inlinable public subscript(index: Int) -> Element { memory[index] }
}
