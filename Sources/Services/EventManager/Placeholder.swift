enum EventManagerPlaceholder {}
