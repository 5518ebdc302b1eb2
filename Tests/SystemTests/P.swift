import Testing
import AsyncHTTPClient
@Test func placeholder() {}
