#include "documents.h"

// Embedding in C costs nothing to compile; in Swift it costs seconds per 100 KB at every edit.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char components[] = {
#embed "../Contracts/components.yaml"
};
static const unsigned char event_manager[] = {
#embed "../Contracts/EventManager/openapi.yaml"
};
static const unsigned char ticket_manager[] = {
#embed "../Contracts/TicketManager/openapi.yaml"
};
static const unsigned char sales_manager[] = {
#embed "../Contracts/SalesManager/openapi.yaml"
};
static const unsigned char coupon_manager[] = {
#embed "../Contracts/CouponManager/openapi.yaml"
};
static const unsigned char payment_processing[] = {
#embed "../Contracts/PaymentProcessing/openapi.yaml"
};
static const unsigned char authentication[] = {
#embed "../Contracts/Authentication/openapi.yaml"
};
static const unsigned char sales_analytics[] = {
#embed "../Contracts/SalesAnalytics/openapi.yaml"
};
static const unsigned char notification[] = {
#embed "../Contracts/Notification/openapi.yaml"
};

static const contracts_document documents[] = {
    {"components", components, sizeof components},
    {"EventManager", event_manager, sizeof event_manager},
    {"TicketManager", ticket_manager, sizeof ticket_manager},
    {"SalesManager", sales_manager, sizeof sales_manager},
    {"CouponManager", coupon_manager, sizeof coupon_manager},
    {"PaymentProcessing", payment_processing, sizeof payment_processing},
    {"Authentication", authentication, sizeof authentication},
    {"SalesAnalytics", sales_analytics, sizeof sales_analytics},
    {"Notification", notification, sizeof notification},
};

size_t contracts_document_count(void) { return sizeof documents / sizeof documents[0]; }

contracts_document contracts_document_at(size_t index) { return documents[index]; }
