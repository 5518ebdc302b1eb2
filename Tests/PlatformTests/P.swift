import Testing
import Hummingbird
@Test func placeholder() {}
